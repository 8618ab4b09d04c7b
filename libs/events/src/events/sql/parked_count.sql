-- What an act would be about: events that are each the first of their key, by reason, and what waits behind these.
select
    f.feed, f.reason, count(*) as events, coalesce(sum(behind.events), 0)::bigint as behind,
    min(f.parked_at) as parked_since
from events.parked_first($1, $2, $3, $4, $5) f
cross join lateral (
    select count(*) as events from events.parked b
    where b.consumer = f.consumer and b.feed = f.feed and b.key = f.key and b.seq > f.seq
) behind
group by f.feed, f.reason
order by f.feed, f.reason
