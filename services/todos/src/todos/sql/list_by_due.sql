-- A person's to-dos after ($3, $4), soonest deadline first, those without one last.
select t.* from unnest($2::boolean[]) as c (completed), lateral (
    select * from todo
    where user_id = $1 and completed = c.completed and not deleted
        and (coalesce(due_at, 'infinity'), id) > ($3::text::timestamptz, $4::uuid)
        and ($6::timestamptz is null or due_at >= $6)
        and ($7::timestamptz is null or due_at < $7)
        and ($8::text is null or title || E'\n' || coalesce(description, '') ilike $8)
        and ($9::smallint is null or priority = $9)
    order by coalesce(due_at, 'infinity'), id
    limit $5
) t
order by coalesce(t.due_at, 'infinity'), t.id
limit $5
