-- What waits for these people's quiet hours ($1) to end is looked at again: they chose others.
update letter set held_until = $2 where subject = any ($1::uuid[]) and state = 'queued' and reason = 'quiet hours'
    and held_until > $2
