-- Drops a batch of streaks that nobody added to for 30 days; how many.
with gone as (
    delete from streak where key in (
        select key from streak where updated_at < $1::timestamptz - interval '30 days' limit $2 for update skip locked
    )
    returning 1
)
select count(*) from gone
