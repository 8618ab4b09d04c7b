-- A person's to-dos of the priorities $3, highest first, in each the newest first, after ($4, $5).
select t.*
from unnest($2::boolean[]) as c (completed), unnest($3::smallint[]) as p (priority), lateral (
    select * from todo
    where user_id = $1 and completed = c.completed and not deleted and priority = p.priority
        and (p.priority > $4 or id < $5)
        and ($7::timestamptz is null or due_at >= $7) and ($8::timestamptz is null or due_at < $8)
        and ($9::text is null or title || E'\n' || coalesce(description, '') ilike $9)
    order by id desc
    limit $6
) t
order by t.priority, t.id desc
limit $6
