-- Everything that a person reads about themselves, as one JSON document. The archive repeats what other services export.
select json_build_object(
    'entries', (
        select coalesce(json_agg(n order by n.at, n.id), '[]') from (
            select id, action, details, at from entry where user_id = $1
        ) n
    )
)::text
