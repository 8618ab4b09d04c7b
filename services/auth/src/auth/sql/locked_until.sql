-- Until when sign-in for an address is locked for unknown devices.
select locked_until from streak where key = $1 and locked_until > $2
