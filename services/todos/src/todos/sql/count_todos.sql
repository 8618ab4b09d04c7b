-- How many of a person's to-dos a list shows; counting ends at a bound, or it would cost more the more there are.
select count(*) from (
    select from todo
    where user_id = $1 and completed = any($2::boolean[]) and not deleted
        and ($3::smallint is null or priority = $3)
        and ($4::timestamptz is null or due_at >= $4) and ($5::timestamptz is null or due_at < $5)
        and ($6::text is null or title || E'\n' || coalesce(description, '') ilike $6)
    limit $7
) counted
