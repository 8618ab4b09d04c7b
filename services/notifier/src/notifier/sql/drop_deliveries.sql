-- Drops a batch of deliveries that were settled 30 days ago; how many.
with gone as (
    delete from delivery where id in (
        select id from delivery
        where settled_at < $1::timestamptz - interval '30 days'
        limit $2 for update skip locked
    )
    returning 1
)
select count(*) from gone
