-- To-dos of people ($1), at most so many ($2), by chance.
select id, user_id from todo where user_id = any ($1::uuid[]) and not deleted order by random() limit $2
