-- The number up to which everything is applied that a consumer heard of a feed; of somebody's own events ($3) where one is
-- named: what is parked of them is not.
select coalesce(least(
    (select c.seq from events.checkpoint c where c.consumer = $1 and c.feed = $2),
    (select min(p.seq) - 1 from events.parked p where p.consumer = $1 and p.feed = $2 and p.key = $3::uuid)
), 0)
