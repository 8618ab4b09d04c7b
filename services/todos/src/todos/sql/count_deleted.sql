-- How many of a person's deleted to-dos a list shows. All have a `deleted_at`: it is named for its index.
select count(*) from todo
where user_id = $1 and completed = any($2::boolean[]) and deleted and deleted_at <= 'infinity'
    and ($3::smallint is null or priority = $3)
    and ($4::timestamptz is null or due_at >= $4) and ($5::timestamptz is null or due_at < $5)
    and ($6::text is null or title || E'\n' || coalesce(description, '') ilike $6)
