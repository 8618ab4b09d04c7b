-- A person's entries after a place in the log, newest first; $4 null: all actions.
select id, action, details, at from entry
where user_id = $1 and (at, id) < ($2, $3) and ($4::text is null or action = $4)
order by at desc, id desc
limit $5
