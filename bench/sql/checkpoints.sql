-- How far a consumer has heard each feed.
select feed, seq from events.checkpoint where consumer = $1
