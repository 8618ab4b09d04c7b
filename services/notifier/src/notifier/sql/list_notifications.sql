-- A person's notifications before a number, newest first; $3: the unread alone.
select id, number, kind, data, silent, at, read_at from notification
where user_id = $1 and number < $2 and (not $3 or read_at is null)
order by number desc
limit $4
