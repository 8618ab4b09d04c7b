-- The numbers of a feed that a consumer heard and did not apply: parked, or given up.
select seq from events.parked where consumer = $1 and feed = $2
union
select seq from events.discarded where consumer = $1 and feed = $2
