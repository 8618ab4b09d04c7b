-- Drops a batch of the answers that are kept for a person; how many.
with gone as (
    delete from events.idempotency where (user_id, route, key) in (
        select user_id, route, key from events.idempotency where user_id = $1 limit $2
    )
    returning 1
)
select count(*)::int from gone
