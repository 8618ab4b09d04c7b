-- How many to-dos a person has, counted up to a number.
select count(*) from (select from todo where user_id = $1 and not deleted limit $2) t
