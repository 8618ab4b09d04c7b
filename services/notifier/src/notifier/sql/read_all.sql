-- Marks everything up to a number as read; how much was not.
with marked as (
    update notification set read_at = $3 where user_id = $1 and number <= $2 and read_at is null returning 1
)
select count(*) from marked
