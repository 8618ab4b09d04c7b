-- What waits for these people's rest to end is looked at again.
update delivery set due_at = clock_timestamp()
where user_id = any ($1::uuid[]) and state = 'queued' and reason = 'not to be disturbed'
