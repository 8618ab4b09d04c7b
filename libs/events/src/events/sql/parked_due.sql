-- What is tried next, and in how many seconds: the one that has waited longest of those that are due by themselves, and of
-- those that each act is about, at its pace.
select c.feed, c.seq, extract(epoch from c.at - clock_timestamp())::float8 as wait
from (
    (
        select p.feed, p.seq, p.due_at as at from events.parked p
        where p.consumer = $1 and p.feed = any ($2) and p.act is null and p.due_at is not null
        order by p.due_at limit 1
    )
    union all
    select p.feed, p.seq, greatest(p.due_at, a.next_at) as at
    from events.act a
    cross join lateral (
        select p.feed, p.seq, p.due_at from events.parked p
        where p.act = a.id and p.feed = any ($2) and p.due_at is not null
        order by p.due_at limit 1
    ) p
    where a.consumer = $1
) c
order by c.at, c.feed, c.seq
limit 1
