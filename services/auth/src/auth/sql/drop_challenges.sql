-- Drops a batch of challenges that expired an hour ago; how many.
with gone as (
    delete from challenge where id in (
        select id from challenge where expires_at < $1::timestamptz - interval '1 hour' limit $2
    )
    returning 1
)
select count(*) from gone
