-- Drops a batch of notifications that came in before a moment; how many.
with gone as (
    delete from notification where id in (
        select id from notification where heard_at < $1 order by heard_at limit $2 for update skip locked
    )
    returning 1
)
select count(*) from gone
