-- Who is not erased of these people, what they chose (no choices: never), and whether they have a device. One question for all
-- three: each one more makes every batch wait for the database once more.
select a.user_id, p.choices::text, p.do_not_disturb_until, p.timezone, p.quiet_from, p.quiet_to, p.since::text,
    (select d.id from device d where d.user_id = a.user_id limit 1) is not null as has_device
from unnest($1::uuid[]) as a (user_id)
left join lateral (select * from preference p where p.user_id = a.user_id offset 0) p on true
where a.user_id not in (select events.erased_among($1))
