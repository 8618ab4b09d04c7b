-- What these people chose; who never chose is left out.
select user_id, choices::text, do_not_disturb_until, timezone, quiet_from, quiet_to, since::text
from preference
where user_id = any ($1::uuid[])
