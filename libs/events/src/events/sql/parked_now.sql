-- How many events are parked, a feed, of how many keys, and how many keys stand still until an operator acts.
select
    feed,
    count(*) as events,
    count(distinct whose) as keys,
    count(distinct whose) - count(distinct whose) filter (where due_at is not null) as stuck
from events.parked
cross join lateral (select coalesce(key::text, seq::text) as whose) named
where consumer = $1
group by feed
