-- Adds to what a person chose at $5; $4 says whether the time is chosen too. What was off and is on now is so since then: SMS
-- is off where nothing was chosen.
insert into preference as p (user_id, choices, do_not_disturb_until, since)
values ($1, $2, case when $4 then $3::timestamptz end, (
    select coalesce(jsonb_object_agg(key, $5::timestamptz), '{}') from jsonb_each($2::jsonb)
    where value = 'true' and key like '%.sms'
))
on conflict (user_id) do update set
    choices = p.choices || excluded.choices,
    do_not_disturb_until = case when $4 then $3::timestamptz else p.do_not_disturb_until end,
    since = p.since || (
        select coalesce(jsonb_object_agg(key, $5::timestamptz), '{}') from jsonb_each(excluded.choices)
        where value = 'true' and coalesce(p.choices -> key, to_jsonb(key not like '%.sms')) = 'false'
    )
returning user_id, choices::text, do_not_disturb_until, timezone, quiet_from, quiet_to, since::text
