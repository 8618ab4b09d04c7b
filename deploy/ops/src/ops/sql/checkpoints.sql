-- Where a consumer stands in each feed.
select feed, seq from events.checkpoint where consumer = $1
