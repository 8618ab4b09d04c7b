-- What operators had done, the latest first.
select id, at, who, why, what, consumer, chosen, events_max, per_second, applied, failed, discarded,
    (select count(*) from events.parked p where p.act = a.id) as left_over
from events.act a order by at desc, id desc limit $1
