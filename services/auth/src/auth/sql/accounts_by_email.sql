-- The accounts of addresses, reserved or registered.
select id, version, email, name, locale, timezone, quiet_from, quiet_to, roles, registered_at
from account where email = any ($1::text[])
