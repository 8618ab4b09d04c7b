-- The number of the last event of a feed that a consumer has applied.
select coalesce(max(seq), 0) from events.checkpoint where consumer = $1 and feed = $2
