-- Keeps a device. An address that is known already is this person's from now on, as a new device.
insert into device (id, user_id, service, address, p256dh, auth, locale, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (address) do update set
    id = excluded.id, user_id = excluded.user_id, service = excluded.service, p256dh = excluded.p256dh,
    auth = excluded.auth, locale = excluded.locale, created_at = excluded.created_at
