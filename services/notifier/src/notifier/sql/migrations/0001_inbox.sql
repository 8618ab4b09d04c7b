-- Where each inbox stands: `last_number` counts a person's notifications without gaps. Its lock gives the numbers.
create table inbox (
    user_id uuid primary key,
    last_number bigint not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What people are told, in their words only when it is read. `id` is the event's, so that each leads to one.
-- `at` is when it happened, `heard_at` when it came in.
create table notification (
    user_id uuid not null,
    number bigint not null,
    id uuid not null unique,
    kind text not null,
    data json not null,
    at timestamptz not null,
    heard_at timestamptz not null,
    read_at timestamptz,
    primary key (user_id, number)
);
create index notification_unread on notification (user_id, number) where read_at is null;
create index notification_heard_at on notification (heard_at);

grant select, insert, update, delete on inbox, notification to :role;
