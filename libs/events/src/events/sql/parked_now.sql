-- How many events are parked, a feed, and how many keys stand still until an operator acts.
select p.feed, count(*) as events, coalesce(max(s.keys), 0)::bigint as stuck
from events.parked p
left join (
    select feed, count(*) as keys from events.parked
    where consumer = $1 and reason <> 'behind' and due_at is null
    group by feed
) s on s.feed = p.feed
where p.consumer = $1
group by p.feed
