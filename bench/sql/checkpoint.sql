-- How far a consumer has heard to-do events.
select coalesce(max(seq), 0) from events.checkpoint where consumer = $1 and feed = 'TODOS'
