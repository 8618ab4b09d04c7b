-- Ends a lease early, so that a standby need not wait.
update events.lease set expires_at = clock_timestamp() - interval '1 second' where name = $1 and holder = $2
