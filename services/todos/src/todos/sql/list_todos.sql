-- A person's to-dos after a place in the list, newest first; $4 null: open and completed ones.
select * from todo
where user_id = $1 and (created_at, id) < ($2, $3) and ($4::boolean is null or completed = $4)
order by created_at desc, id desc
limit $5
