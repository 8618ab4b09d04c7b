-- What is few of all that notifier holds about a person, as one JSON object. Left out is what opens a connection: a ticket's hash.
select json_build_object(
    'inbox', (
        select row_to_json(i) from (select last_number from inbox where user_id = $1) i
    ),
    'preferences', (
        select row_to_json(p) from (
            select choices, since, do_not_disturb_until, timezone, quiet_from, quiet_to from preference where user_id = $1
        ) p
    ),
    'tickets', (
        select coalesce(json_agg(t), '[]') from (
            select session_id, locale, token_expires_at, expires_at from ticket where user_id = $1 order by expires_at
        ) t
    ),
    'phone_codes', (
        select coalesce(json_agg(c), '[]') from (
            select id, number, locale, asked_at, expires_at, used_at, guesses from phone_challenge
            where user_id = $1 order by asked_at
        ) c
    ),
    'devices', (
        select coalesce(json_agg(d), '[]') from (
            select id, service, address, p256dh, auth, locale, created_at, seen_at from device
            where user_id = $1 order by created_at
        ) d
    )
)::text
