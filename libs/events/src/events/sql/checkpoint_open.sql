-- Where a consumer stands in a feed; the first look begins at nothing.
with made as (
    insert into events.checkpoint (consumer, feed) values ($1, $2) on conflict do nothing returning seq, event_id
)
select seq, event_id from made
union all
select seq, event_id from events.checkpoint where consumer = $1 and feed = $2
limit 1
