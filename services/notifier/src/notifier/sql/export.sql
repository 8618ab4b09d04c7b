-- Everything that notifier holds about a person, as one JSON document.
select json_build_object(
    'notifications', (
        select coalesce(json_agg(n order by n.number), '[]') from (
            select number, id, kind, data, silent, at, read_at from notification where user_id = $1
        ) n
    ),
    'preferences', (
        select row_to_json(p) from (
            select choices, since, do_not_disturb_until, timezone, quiet_from, quiet_to from preference where user_id = $1
        ) p
    ),
    'phone_codes', (
        select coalesce(json_agg(c), '[]') from (
            select number, asked_at, used_at from phone_challenge where user_id = $1 order by asked_at
        ) c
    ),
    'devices', (
        select coalesce(json_agg(d), '[]') from (
            select id, service, address, locale, created_at from device where user_id = $1 order by created_at
        ) d
    ),
    'deliveries', (
        select coalesce(json_agg(w), '[]') from (
            select id, channel, cause, kind, state, happened_at, settled_at from delivery
            where user_id = $1 order by happened_at
        ) w
    ),
    'events', (
        select coalesce(json_agg(e order by e.seq), '[]') from (
            select seq, id, type, time, data from events.log where subject = $1
        ) e
    )
)::text
