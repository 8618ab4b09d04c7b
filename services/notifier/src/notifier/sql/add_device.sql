-- Keeps a device.
insert into device (id, user_id, service, address, p256dh, auth, locale, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
