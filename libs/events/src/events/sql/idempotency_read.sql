-- The answer kept under an Idempotency-Key.
select body_hash, answer, position from events.idempotency
where user_id = $1 and route = $2 and key = $3 and expires_at > clock_timestamp()
