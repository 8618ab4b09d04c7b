-- A person's deleted to-dos before $2, newest first, until they are purged.
select * from todo where user_id = $1 and deleted and id < $2 order by id desc limit $3
