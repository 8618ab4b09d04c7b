-- Keeps a device. One that this person registers again stays, with new keys and language; one of somebody else is this
-- person's from now on, as a new device: what waits for it goes to nobody.
insert into device (id, user_id, service, address, p256dh, auth, locale, created_at, seen_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
on conflict (service, address) do update set
    id = case when device.user_id = excluded.user_id then device.id else excluded.id end,
    created_at = case when device.user_id = excluded.user_id then device.created_at else excluded.created_at end,
    user_id = excluded.user_id, p256dh = excluded.p256dh, auth = excluded.auth, locale = excluded.locale,
    seen_at = excluded.seen_at
returning id, created_at
