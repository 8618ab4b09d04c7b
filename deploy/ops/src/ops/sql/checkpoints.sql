-- Where a consumer stands in each feed, and the event that it heard there.
select feed, seq, event_id from events.checkpoint where consumer = $1
