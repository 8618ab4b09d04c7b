-- A peer's tables. Those that keep codes in Redis have no use for the last.
create table todo (
    id uuid primary key,
    user_id uuid not null,
    title text not null,
    description text,
    priority integer not null,
    completed boolean not null,
    created_at timestamptz not null
);
create index on todo (user_id, created_at);
create table activity (
    id uuid primary key,
    user_id uuid not null,
    action text not null,
    details jsonb not null,
    at timestamptz not null
);
create index on activity (user_id, at);
create table otp_code (
    email text primary key,
    code text not null,
    expires_at timestamptz not null
);
grant select, insert, update on todo, activity, otp_code to todos;
