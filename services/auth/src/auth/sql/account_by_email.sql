-- The account of an address, reserved or registered.
select id, version, email, name, locale, timezone, quiet_from, quiet_to, roles, registered_at from account where email = $1
