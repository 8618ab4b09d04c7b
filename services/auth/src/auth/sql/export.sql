-- What is few of all that auth holds about a person, as one JSON object; no secret, also none that is hashed.
select json_build_object(
    'account', (
        select row_to_json(a) from (
            select id, email, name, locale, timezone, quiet_from, quiet_to, roles, registered_at from account where id = $1
        ) a
    ),
    'sessions', (
        select coalesce(json_agg(s order by s.created_at), '[]') from (
            select id, device, created_at, refreshed_at, expires_at, ended_at from session where user_id = $1
        ) s
    ),
    'challenges', (
        select coalesce(json_agg(c order by c.expires_at), '[]') from (
            select c.id, c.expires_at, c.guesses, c.used_at
            from challenge c join account a on a.email = c.email where a.id = $1
        ) c
    )
)::text
