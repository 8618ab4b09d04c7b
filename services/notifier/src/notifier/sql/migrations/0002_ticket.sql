-- What opens a live connection without a token in its address: once, within 30 s, at any replica. Only the hash is kept.
create table ticket (
    hash bytea primary key,
    user_id uuid not null,
    session_id uuid not null,
    locale text check (locale in ('ko', 'en')),
    -- When the access token ends that it was bought with.
    token_expires_at timestamptz not null,
    expires_at timestamptz not null
);
create index ticket_expires_at on ticket (expires_at);
create index ticket_person on ticket (user_id);

grant select, insert, delete on ticket to :role;
