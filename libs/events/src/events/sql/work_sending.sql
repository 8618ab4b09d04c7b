-- The point of no return is next: from here on an ended lease means unknown. No row: the claim is no longer ours.
update {table} set state = 'sending', lease_until = clock_timestamp() + make_interval(secs => $3)
where id = $1 and token = $2 and state = 'claimed' and lease_until > clock_timestamp()
returning id
