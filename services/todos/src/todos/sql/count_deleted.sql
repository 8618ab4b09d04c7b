-- How many deleted to-dos of a person can be restored.
select count(*) from todo where user_id = $1 and deleted
