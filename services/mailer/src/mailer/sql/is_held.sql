-- Whether a letter was held until now, or before, and waits to be made due.
select exists (
    select from letter where held_until <= $1 and state = 'queued' and (expires_at is null or expires_at > $1)
)
