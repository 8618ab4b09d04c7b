-- Drops a batch of an erased person's notifications; how many.
with gone as (
    delete from notification where id in (select id from notification where user_id = $1 limit $2) returning 1
)
select count(*)::int from gone
