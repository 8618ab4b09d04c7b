-- Drops a batch of the codes that were asked for a day ago; how many.
with gone as (
    delete from phone_challenge where id in (
        select id from phone_challenge where asked_at < $1::timestamptz - interval '24 hours'
        limit $2 for update skip locked
    )
    returning 1
)
select count(*) from gone
