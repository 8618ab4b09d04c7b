-- What is few of all that mailer holds about a person, as one JSON object; the sealed address is in auth's part in clear.
select json_build_object(
    'contact', (
        select row_to_json(c) from (
            select
                user_id, name, locale, timezone, quiet_from, quiet_to, registered_at, refusals, refused_at,
                suppressed_at
            from contact where user_id = $1
        ) c
    ),
    'preferences', (
        select row_to_json(p) from (select version, "off" from preference where user_id = $1) p
    )
)::text
