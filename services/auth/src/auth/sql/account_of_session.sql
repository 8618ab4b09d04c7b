-- The account behind a session that has not ended.
select a.id, a.version, a.email, a.name, a.locale, a.timezone, a.quiet_from, a.quiet_to, a.roles,
    a.registered_at
from session s join account a on a.id = s.user_id
where s.id = $1 and s.ended_at is null
