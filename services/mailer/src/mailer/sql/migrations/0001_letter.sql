-- Letters to send. `sealed` holds recipient, code and expiry for the mailer's key alone, until the letter is settled.
create table letter (
    like events.work including all,
    kind text not null check (kind in ('code')),
    cause uuid not null,
    subject uuid not null,
    correlation_id text not null,
    traceparent text not null,
    happened_at timestamptz not null,
    locale text not null check (locale in ('ko', 'en')),
    message_id text not null,
    sealed text,
    -- Sent once more after an unknown outcome; never twice.
    resent boolean not null default false,
    check (settled_at is null or sealed is null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- How to reach a person: the address is sealed for the mailer's key alone. No locale: none was chosen.
create table contact (
    user_id uuid primary key,
    sealed_contact text not null,
    locale text check (locale in ('ko', 'en')),
    timezone text,
    registered_at timestamptz not null
);

grant select, insert, update on letter, contact to :role;
