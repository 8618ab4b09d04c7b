-- A person's to-dos before ($3, $4), newest first. $2: which of open and completed; filters that are null let all through.
select t.* from unnest($2::boolean[]) as c (completed), lateral (
    select * from todo
    where user_id = $1 and completed = c.completed and not deleted and (created_at, id) < ($3, $4)
        and ($6::timestamptz is null or due_at >= $6) and ($7::timestamptz is null or due_at < $7)
        and ($8::text is null or title || E'\n' || coalesce(description, '') ilike $8)
    order by created_at desc, id desc
    limit $5
) t
order by t.created_at desc, t.id desc
limit $5
