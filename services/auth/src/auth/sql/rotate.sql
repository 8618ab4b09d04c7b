-- Replaces a session's living refresh token by its child, once.
update session
set refresh_hash = $2, generation = generation + 1, refreshed_at = $4, expires_at = $5
where id = $3 and refresh_hash = $1 and ended_at is null and expires_at > $4
returning id
