-- What people chose as their zone, null where they took it back, one a row of the arrays; nothing for who is not there.
update person p set timezone = known_zone(n.timezone)
from unnest($1::uuid[], $2::text[]) as n (user_id, timezone)
where p.user_id = n.user_id
returning p.user_id, p.timezone
