-- A person's open sessions after a place in the list, newest first.
select id, device, created_at, refreshed_at as last_used_at from session
where user_id = $1 and ended_at is null and expires_at > $2 and (created_at, id) < ($3, $4)
order by created_at desc, id desc
limit $5
