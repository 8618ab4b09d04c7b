-- Everything that mailer holds about a person, as one JSON document; the sealed address is in auth's part in clear.
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
    ),
    'letters', (
        select coalesce(json_agg(l order by l.happened_at), '[]') from (
            select id, kind, state, reason, locale, happened_at, held_until, settled_at, facts from letter
            where subject = $1
        ) l
    ),
    'events', (
        select coalesce(json_agg(e order by e.seq), '[]') from (
            select seq, id, type, time, data from events.log where subject = $1
        ) e
    )
)::text
