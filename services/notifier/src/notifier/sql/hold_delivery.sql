-- Back into the queue for some seconds: its person rests. It was no attempt. No row: the claim is no longer ours.
update delivery
set state = 'queued', due_at = clock_timestamp() + make_interval(secs => $3), reason = 'not to be disturbed',
    attempts = attempts - 1, token = null, lease_until = null
where id = $1 and token = $2 and state = 'claimed'
returning id
