-- The oldest number still in the log (one past the last when there is none) and the last number given.
select
    coalesce((select l.seq from events.log l where l.feed = f.name order by l.seq limit 1), f.last_seq + 1) as oldest,
    f.last_seq,
    pg_is_in_recovery() as is_copy
from events.feed f
where f.name = $1
