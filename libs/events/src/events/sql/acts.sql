-- What operators had done, the latest first; `under_way`: keys that one is still about.
select id, at, who, why, what, consumer, chosen, events_max, per_second, applied, failed, discarded,
    (select count(*) from events.parked p where p.act = a.id) as under_way
from events.act a order by at desc, id desc limit $1
