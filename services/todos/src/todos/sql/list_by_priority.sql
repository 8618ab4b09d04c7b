-- A person's to-dos of the priorities $3, highest first, in each the newest first, after ($4, $5, $6).
select t.*
from unnest($2::boolean[]) as c (completed), unnest($3::smallint[]) as p (priority), lateral (
    select * from todo
    where user_id = $1 and completed = c.completed and not deleted and priority = p.priority
        and (p.priority > $4 or (created_at, id) < ($5, $6))
        and ($8::timestamptz is null or due_at >= $8) and ($9::timestamptz is null or due_at < $9)
        and ($10::text is null or title || E'\n' || coalesce(description, '') ilike $10)
    order by created_at desc, id desc
    limit $7
) t
order by t.priority, t.created_at desc, t.id desc
limit $7
