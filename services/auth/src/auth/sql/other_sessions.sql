-- A person's open sessions, but for one.
select id, version, user_id, refresh_hash, generation, refreshed_at, expires_at, ended_at from session
where user_id = $1 and id <> $2 and ended_at is null and expires_at > $3
order by id
