-- Everybody's entries after a place in the log, newest first; null: whoever ($1), whatever the action, the to-do, the
-- time. Apart from list_entries.sql, whose plan goes by person even where it is kept.
select id, user_id, action, details, at, feed, seq from entry
where ($1::uuid is null or user_id = $1) and (at, id) < ($2, $3)
    and ($5::text is null or action = $5) and ($6::uuid is null or details ->> 'todo_id' = $6::text)
    and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
order by at desc, id desc
limit $4
