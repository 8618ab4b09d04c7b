-- Claims whose lease ended before the point of no return go back into the queue.
update {table} set state = 'queued', token = null, lease_until = null
where state = 'claimed' and lease_until < clock_timestamp()
returning id
