-- What an entry tells of a to-do when its event does not: an edit says only what changed.
create table known_todo (
    id uuid primary key,
    user_id uuid not null,
    title text not null,
    priority smallint not null,
    completed boolean not null
) with (fillfactor = 80);
create index known_todo_person on known_todo (user_id);

grant select, insert, update, delete on known_todo to :role;
