-- Drops a batch of the deliveries to an erased person, and their devices; how many.
with gone as (
    delete from delivery where id in (select id from delivery where user_id = $1 limit $2) returning 1
), devices as (
    delete from device where user_id = $1 returning 1
)
select ((select count(*) from gone) + (select count(*) from devices))::int
