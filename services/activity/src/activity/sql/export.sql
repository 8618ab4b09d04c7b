-- What is few of all that a person reads about themselves, as one JSON object. The archive repeats what other services export.
select json_build_object(
    'person', (
        select row_to_json(p) from (select timezone, registered_at from person where user_id = $1) p
    ),
    'open_periods', (
        select coalesce(json_agg(o order by o.due_at, o.period), '[]') from (
            select period, first_day, since, due_at from open_period where user_id = $1
        ) o
    )
)::text
