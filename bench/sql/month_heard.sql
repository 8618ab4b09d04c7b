-- How many events activity has heard, of all feeds but its own.
select coalesce(sum(seq), 0)::bigint from events.checkpoint where consumer = 'activity' and feed <> 'ACTIVITY'
