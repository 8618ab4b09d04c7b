-- Back into the queue, not due before a moment. No row: the claim is no longer ours.
update letter
set state = 'queued', due_at = 'infinity', held_until = $3, reason = $4, attempts = attempts - 1, token = null,
    lease_until = null
where id = $1 and token = $2 and state = 'claimed'
returning id
