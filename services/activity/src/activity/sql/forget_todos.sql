-- Forgets purged to-dos.
delete from known_todo where id = any($1::uuid[])
