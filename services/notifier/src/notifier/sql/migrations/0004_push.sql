-- Where a person can be pushed to: an FCM token, or a Web Push subscription with its keys. A phone that changes hands
-- changes its row: an address has one owner.
create table device (
    id uuid primary key,
    user_id uuid not null,
    service text not null check (service in ('fcm', 'web')),
    address text not null unique,
    p256dh text,
    auth text,
    locale text not null check (locale in ('ko', 'en')),
    created_at timestamptz not null,
    check ((service = 'web') = (p256dh is not null and auth is not null))
);
create index device_person on device (user_id, created_at);

-- Notifications on their way out of here, one for an event and a device.
create table delivery (
    like events.work including all,
    channel text not null check (channel in ('push', 'sms')),
    device_id uuid not null,
    user_id uuid not null,
    cause uuid not null,
    kind text not null,
    data json not null,
    correlation_id text not null,
    traceparent text not null,
    happened_at timestamptz not null,
    unique (cause, device_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create index delivery_person on delivery (user_id);
create index delivery_settled_at on delivery (settled_at) where settled_at is not null;

grant select, insert, update, delete on device, delivery to :role;
