-- Back into the queue, due later. No row: the claim is no longer ours.
update {table}
set state = 'queued', due_at = clock_timestamp() + make_interval(secs => $3), reason = $4, token = null, lease_until = null
where id = $1 and token = $2 and state in ('claimed', 'sending')
returning id
