-- Drops a batch of answers whose Idempotency-Keys have expired; how many.
with gone as (
    delete from events.idempotency where (user_id, route, key) in (
        select user_id, route, key from events.idempotency
        where expires_at < clock_timestamp() order by expires_at limit $1
    )
    returning 1
)
select count(*) from gone
