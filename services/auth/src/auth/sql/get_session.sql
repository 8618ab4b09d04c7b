-- One session.
select id, version, user_id, refresh_hash, generation, refreshed_at, expires_at, ended_at from session where id = $1
