-- Marks a notification as read; the first time stands.
update notification set read_at = coalesce(read_at, $3)
where user_id = $1 and id = $2
returning id, number, kind, data, silent, at, read_at
