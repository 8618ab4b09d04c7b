-- The log by months of UTC, so that what is old goes whole, and the archive by months in which it was heard, as its times
-- follow its numbers. What has no month yet is in `entry_other`, `archive_other`.
alter table entry rename to entry_before;
alter index entry_pkey rename to entry_before_pkey;
alter index entry_newest rename to entry_before_newest;

create table entry (
    id uuid not null,
    user_id uuid not null,
    action text not null,
    details jsonb not null,
    at timestamptz not null,
    feed text not null,
    seq bigint not null,
    primary key (id, at)
) partition by range (at);
create index entry_newest on entry (user_id, at desc, id desc);
create index entry_at on entry (at desc, id desc);
create table entry_other partition of entry default;
grant select, insert on entry to :role;

alter table archive rename to archive_before;
alter table archive_other rename to archive_before_other;
alter index archive_number rename to archive_before_number;
alter index archive_heard_at rename to archive_before_heard_at;
alter index archive_subject rename to archive_before_subject;

-- A month holds an event once; so does the whole, by the checkpoint that moves with it.
create table archive (
    like archive_before including defaults,
    unique (feed, seq, heard_at)
) partition by range (heard_at);
create index archive_number on archive (number);
create index archive_heard_at on archive (heard_at, number);
create index archive_subject on archive (subject) where sha256 is null;
create table archive_other partition of archive default;
grant select, insert on archive to :role;

-- Makes a month of a table, and moves into it what came before it was.
create function make_month(p_table text, p_column text, p_first timestamp) returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    v_name text := p_table || '_' || to_char(p_first, 'YYYY_MM');
    v_from timestamptz := p_first at time zone 'UTC';
    v_to timestamptz := (p_first + interval '1 month') at time zone 'UTC';
begin
    if to_regclass('public.' || v_name) is not null then
        return;
    end if;
    execute format('create table public.%I (like public.%I including all)', v_name, p_table);
    execute format(
        'with moved as (delete from public.%I where %I >= %L and %I < %L returning *) insert into public.%I table moved',
        p_table || '_other', p_column, v_from, p_column, v_to, v_name
    );
    execute format(
        'alter table public.%I attach partition public.%I for values from (%L) to (%L)', p_table, v_name, v_from, v_to
    );
end
$$;

-- Makes the months up to two from a moment on that are not there, and those of what has none.
create function open_months(p_now timestamptz) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    v_now timestamp := date_trunc('month', p_now at time zone 'UTC');
begin
    perform pg_advisory_xact_lock(hashtext('activity.months'));
    perform make_month('entry', 'at', m) from (
        select generate_series(v_now, v_now + interval '2 months', '1 month')
        union select date_trunc('month', at at time zone 'UTC') from entry_other
    ) months (m);
    perform make_month('archive', 'heard_at', m) from (
        select generate_series(v_now, v_now + interval '2 months', '1 month')
        union select date_trunc('month', heard_at at time zone 'UTC') from archive_other
    ) months (m);
end
$$;

-- Drops the months of the log that were over at a moment; how many.
create function drop_months(p_before timestamptz) returns int
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    v_name text;
    v_dropped int := 0;
begin
    perform pg_advisory_xact_lock(hashtext('activity.months'));
    for v_name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'public.entry'::regclass and c.relname ~ '^entry_\d{4}_\d{2}$'
            and (to_date(substr(c.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC' <= p_before
    loop
        execute format('drop table public.%I', v_name);
        v_dropped := v_dropped + 1;
    end loop;
    return v_dropped;
end
$$;
revoke all on function make_month, open_months, drop_months from public;
grant execute on function open_months, drop_months to :role;

select make_month('entry', 'at', m)
from (select distinct date_trunc('month', at at time zone 'UTC') from entry_before) months (m);
insert into entry select id, user_id, action, details, at, feed, seq from entry_before;
drop table entry_before;

select make_month('archive', 'heard_at', m)
from (select distinct date_trunc('month', heard_at at time zone 'UTC') from archive_before) months (m);
insert into archive select * from archive_before;
create or replace view analytics.reflected as
select
    s.projection, s.version as metric_version, s.position,
    (select a.heard_at from public.archive a where a.number = s.position) as reflects
from projections.shown s;
drop table archive_before;

select open_months(now());

create or replace function erase_archive(p_subject uuid, p_limit int) returns int
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with due as materialized (
        select a.number from archive a join events.erasure e on e.subject = a.subject
        where a.subject = p_subject and a.sha256 is null and a.event_id <> e.event_id and a.type <> 'core.Erased.v1'
        limit p_limit
    ), gone as (
        update archive a set type = 'core.Erased.v1', data = '{}', sha256 = sha256(convert_to(a.data::text, 'UTF8'))
        from due where a.number = due.number
        returning 1
    )
    select count(*)::int from gone
$$;
