-- Drops a batch of sessions that ended, or could no longer be refreshed, 30 days ago; how many.
with gone as (
    delete from session where id in (
        select id from session
        where ended_at < $1::timestamptz - interval '30 days' or expires_at < $1::timestamptz - interval '30 days'
        limit $2 for update skip locked
    )
    returning 1
)
select count(*) from gone
