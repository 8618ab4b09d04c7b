-- Deadlines, recurrence, deletion, and an index for every way to list.
create extension if not exists pg_trgm;
create extension if not exists btree_gin;

alter table todo
    add column due_zone text,
    add column recurrence text,
    add column wall_time timestamp,
    add column continues uuid,
    add column next_id uuid,
    add column deleted boolean not null default false,
    add column reminded timestamptz[] not null default '{}',
    add column overdue timestamptz[] not null default '{}',
    -- When the clock looks at it next: `Todo.alarm_at` of the domain.
    add column alarm_at timestamptz,
    add column completed_at timestamptz,
    add column deleted_at timestamptz;

-- `completed` leads: one who finished ten thousand finds the ten open ones at once, and both kinds together are a merge
-- of two scans. No order is by `id` alone: the planner would walk the primary key through everybody's rows for it.
drop index todo_newest;
create index todo_created on todo (user_id, completed, created_at desc, id desc) where not deleted;
create index todo_priority on todo (user_id, completed, priority, created_at desc, id desc) where not deleted;
create index todo_due on todo (user_id, completed, (coalesce(due_at, 'infinity')), id) where not deleted;
create index todo_deleted on todo (user_id, deleted_at desc, id desc) where deleted;
create index todo_purge on todo (updated_at) where deleted; -- its last event deleted it; an order that no list has
create index todo_alarm on todo (alarm_at) where alarm_at is not null;
create index todo_search on todo using gin (user_id, (title || E'\n' || coalesce(description, '')) gin_trgm_ops);

create or replace function events.write_states(p_kinds text[], p_ids uuid[], p_versions bigint[], p_states json[])
returns void language plpgsql set search_path = public, pg_temp as $$
begin
    insert into todo
    select r.*
    from unnest(p_kinds, p_states) as s (kind, state), json_populate_record(null::todo, s.state) r
    where s.kind = 'todo'
    on conflict (id) do update
    set version = excluded.version, title = excluded.title, description = excluded.description,
        priority = excluded.priority, completed = excluded.completed, due_at = excluded.due_at,
        remind_minutes_before = excluded.remind_minutes_before, updated_at = excluded.updated_at,
        due_zone = excluded.due_zone, recurrence = excluded.recurrence, wall_time = excluded.wall_time,
        next_id = excluded.next_id, deleted = excluded.deleted, reminded = excluded.reminded,
        overdue = excluded.overdue, alarm_at = excluded.alarm_at, completed_at = excluded.completed_at,
        deleted_at = excluded.deleted_at;

    delete from todo t using unnest(p_kinds, p_ids) as s (kind, id) where s.kind = 'todo_purged' and t.id = s.id;
end
$$;
