-- A person's to-dos before $3, newest first. $2: which of open and completed; filters that are null let all through.
select t.* from unnest($2::boolean[]) as c (completed), lateral (
    select * from todo
    where user_id = $1 and completed = c.completed and not deleted and id < $3
        and ($5::timestamptz is null or due_at >= $5) and ($6::timestamptz is null or due_at < $6)
        and ($7::text is null or title || E'\n' || coalesce(description, '') ilike $7)
    order by id desc
    limit $4
) t
order by t.id desc
limit $4
