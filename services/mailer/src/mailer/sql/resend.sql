-- A letter of unknown outcome back into the queue, once. No row: it was sent once more already, or the claim is lost.
update letter
set state = 'queued', due_at = clock_timestamp(), reason = $3, resent = true, token = null, lease_until = null
where id = $1 and token = $2 and state = 'sending' and not resent
returning id
