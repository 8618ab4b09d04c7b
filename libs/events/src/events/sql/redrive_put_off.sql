-- What met a "not now" is tried again in $4 seconds; others go first.
update events.parked set due_at = clock_timestamp() + make_interval(secs => $4)
where consumer = $1 and feed = $2 and seq = $3 and due_at is not null
