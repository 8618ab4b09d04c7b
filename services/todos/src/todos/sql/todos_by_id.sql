-- To-dos by their ids, whosever they are.
select * from todo where id = any($1::uuid[])
