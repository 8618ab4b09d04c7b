-- Keeps who registered; the first word about a person stands.
insert into person (user_id, timezone, registered_at)
select n.user_id, known_zone(n.timezone), n.registered_at
from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as n (user_id, timezone, registered_at)
on conflict (user_id) do nothing
