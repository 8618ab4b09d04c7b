-- Until when sign-in for addresses is or was locked for unknown devices.
select key, locked_until from streak where key = any ($1::bytea[])
