-- What is known of some to-dos.
select id, title, priority, completed from known_todo where id = any($1::uuid[])
