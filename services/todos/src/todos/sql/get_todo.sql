-- One to-do of its owner.
select * from todo where id = $1 and user_id = $2
