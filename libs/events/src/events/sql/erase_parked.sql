-- Takes away up to $2 parked events about a person; their numbers stay. How many.
with gone as (
    delete from events.parked
    where (consumer, feed, seq) in (select consumer, feed, seq from events.parked where key = $1 limit $2)
    returning consumer, feed, seq, key, type
), noted as (
    insert into events.discarded (consumer, feed, seq, key, type) select * from gone on conflict do nothing
)
select count(*) from gone
