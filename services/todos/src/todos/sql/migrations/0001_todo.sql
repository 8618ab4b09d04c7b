-- The current state of every to-do, written in the transaction of the append.
create table todo (
    id uuid primary key,
    user_id uuid not null,
    version bigint not null,
    title text not null,
    description text,
    priority smallint not null,
    completed boolean not null,
    due_at timestamptz,
    remind_minutes_before int,
    created_at timestamptz not null,
    updated_at timestamptz not null
) with (fillfactor = 80);
create index todo_newest on todo (user_id, created_at desc, id desc);

grant select on todo to :role;

create or replace function events.write_states(p_kinds text[], p_ids uuid[], p_versions bigint[], p_states json[])
returns void language plpgsql set search_path = public, pg_temp as $$
begin
    insert into todo
    select
        s.id, (s.state ->> 'user_id')::uuid, s.version, s.state ->> 'title', s.state ->> 'description',
        (s.state ->> 'priority')::smallint, (s.state ->> 'completed')::boolean, (s.state ->> 'due_at')::timestamptz,
        (s.state ->> 'remind_minutes_before')::int, (s.state ->> 'created_at')::timestamptz,
        (s.state ->> 'updated_at')::timestamptz
    from unnest(p_ids, p_versions, p_states) as s (id, version, state)
    on conflict (id) do update
    set version = excluded.version, title = excluded.title, description = excluded.description,
        priority = excluded.priority, completed = excluded.completed, due_at = excluded.due_at,
        remind_minutes_before = excluded.remind_minutes_before, updated_at = excluded.updated_at;
end
$$;
