-- Adds to what a person chose; $4 says whether the time is chosen too.
insert into preference as p (user_id, choices, do_not_disturb_until) values ($1, $2, case when $4 then $3::timestamptz end)
on conflict (user_id) do update set
    choices = p.choices || excluded.choices,
    do_not_disturb_until = case when $4 then $3::timestamptz else p.do_not_disturb_until end
returning user_id, choices::text, do_not_disturb_until, timezone, quiet_from, quiet_to
