-- A person's deleted to-dos before ($2, $3), the last deleted first, until they are purged.
select * from todo where user_id = $1 and deleted and (deleted_at, id) < ($2, $3) order by deleted_at desc, id desc limit $4
