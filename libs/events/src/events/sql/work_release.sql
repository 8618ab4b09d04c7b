-- Claims whose lease ended, or whose holder is gone, before the point of no return go back into the queue.
update {table} set state = 'queued', token = null, lease_until = null
where state = 'claimed' and (lease_until < clock_timestamp() or events.is_gone(token))
returning id
