-- A person's deleted to-dos before ($3, $4), the last deleted first, until they are purged. Filters as of the other lists.
select * from todo
where user_id = $1 and completed = any($2::boolean[]) and deleted and (deleted_at, id) < ($3, $4)
    and ($6::timestamptz is null or due_at >= $6) and ($7::timestamptz is null or due_at < $7)
    and ($8::text is null or title || E'\n' || coalesce(description, '') ilike $8)
    and ($9::smallint is null or priority = $9)
order by deleted_at desc, id desc
limit $5
