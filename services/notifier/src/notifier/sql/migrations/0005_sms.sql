-- A phone is a device whose number its person proved by a code. What they chose in their profile stands with what they
-- chose here.
alter table device drop constraint device_service_check;
alter table device add constraint device_service_check check (service in ('fcm', 'web', 'sms'));
create unique index device_phone on device (user_id) where service = 'sms';

alter table preference add column timezone text, add column quiet_from text, add column quiet_to text;

-- Codes that were asked for. A code is made from the row's id by a key, and written nowhere. Rows outlive their codes by a
-- day: they are what is counted.
create table phone_challenge (
    id uuid primary key,
    user_id uuid not null,
    number text not null,
    locale text not null check (locale in ('ko', 'en')),
    asked_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    guesses smallint not null default 0
);
create index phone_challenge_person on phone_challenge (user_id, asked_at);
create index phone_challenge_number on phone_challenge (number, asked_at);
create index phone_challenge_asked_at on phone_challenge (asked_at);

grant select, insert, update, delete on phone_challenge to :role;
