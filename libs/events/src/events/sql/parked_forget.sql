-- What is older than its feed remembers ($3 seconds) is not kept here either. How many.
with gone as (
    delete from events.parked
    where consumer = $1 and feed = $2 and parked_at < clock_timestamp() - make_interval(secs => $3)
    returning consumer, feed, seq, key, type
), noted as (
    insert into events.discarded (consumer, feed, seq, key, type) select * from gone on conflict do nothing
)
select count(*) from gone
