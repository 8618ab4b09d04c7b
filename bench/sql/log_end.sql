-- A feed's counter, its rows, the highest number among them.
select
    f.last_seq,
    (select count(*) from events.log l where l.feed = f.name) as rows,
    (select coalesce(max(l.seq), 0) from events.log l where l.feed = f.name) as highest
from events.feed f where f.name = $1
