-- Takes away up to $2 parked events about a person. How many.
with gone as (
    delete from events.parked
    where (consumer, feed, seq) in (select consumer, feed, seq from events.parked where key = $1 limit $2)
    returning 1
)
select count(*) from gone
