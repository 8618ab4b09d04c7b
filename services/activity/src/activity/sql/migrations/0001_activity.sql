-- Every event as heard, for ever: what projections are rebuilt from. Append-only for the runtime role.
-- `number` counts without gaps in the order heard; `time` is when it happened, `heard_at` when it was written here.
create table archive (
    number bigint not null,
    feed text not null,
    seq bigint not null,
    event_id uuid not null,
    type text not null,
    subject uuid not null,
    aggregate uuid not null,
    version bigint not null,
    time timestamptz not null,
    heard_at timestamptz not null,
    correlation_id text not null,
    causation_id text not null,
    actor text not null,
    traceparent text not null,
    data json not null,
    primary key (feed, seq)
) partition by list (feed);
create index archive_number on archive (number);

-- One partition a feed, so that each stays unique by its own number; a feed to come finds the default one.
create table archive_otp partition of archive for values in ('OTP');
create table archive_auth partition of archive for values in ('AUTH');
create table archive_todos partition of archive for values in ('TODOS');
create table archive_mailer partition of archive for values in ('MAILER');
create table archive_other partition of archive default;

-- Its lock gives the numbers; taken last in a transaction, held until the commit.
create table archive_counter (
    last_number bigint not null default 0
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
insert into archive_counter default values;

-- What a person did, as that person reads it. `id` is the event's.
create table entry (
    id uuid primary key,
    user_id uuid not null,
    action text not null,
    details jsonb not null,
    at timestamptz not null,
    feed text not null,
    seq bigint not null
);
create index entry_newest on entry (user_id, at desc, id desc);

grant select, insert on archive, entry to :role;
grant select, update on archive_counter to :role;
