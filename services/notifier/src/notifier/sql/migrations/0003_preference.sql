-- What people chose: `choices` holds `<kind>.<channel>` with true or false, and only what was ever chosen.
create table preference (
    user_id uuid primary key,
    choices jsonb not null default '{}',
    do_not_disturb_until timestamptz
);

-- Shown without a sound: its kind is not to come live, or the person was not to be disturbed.
alter table notification add column silent boolean not null default false;

grant select, insert, update, delete on preference to :role;
