-- The log by months of UTC, so that what is old goes whole. What has no month yet is in `entry_other`.
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

-- Makes the months up to two from a moment on that are not there, and moves into them what came before they were.
create function open_months(p_now timestamptz) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    v_first timestamp;
    v_name text;
    v_from timestamptz;
    v_to timestamptz;
begin
    perform pg_advisory_xact_lock(hashtext('activity.months'));
    for v_first in
        select distinct m from (
            select generate_series(
                date_trunc('month', p_now at time zone 'UTC'),
                date_trunc('month', p_now at time zone 'UTC') + interval '2 months', '1 month'
            ) as m
            union all
            select date_trunc('month', at at time zone 'UTC') from entry_other
        ) months order by m
    loop
        v_name := 'entry_' || to_char(v_first, 'YYYY_MM');
        continue when to_regclass('public.' || v_name) is not null;
        v_from := v_first at time zone 'UTC';
        v_to := (v_first + interval '1 month') at time zone 'UTC';
        execute format('create table public.%I (like entry including all)', v_name);
        execute format(
            'with moved as (delete from entry_other where at >= %L and at < %L returning *) insert into public.%I table moved',
            v_from, v_to, v_name
        );
        execute format(
            'alter table entry attach partition public.%I for values from (%L) to (%L)', v_name, v_from, v_to
        );
    end loop;
end
$$;

-- Drops the months that were over at a moment; how many.
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
revoke all on function open_months, drop_months from public;
grant execute on function open_months, drop_months to :role;

insert into entry select id, user_id, action, details, at, feed, seq from entry_before;
drop table entry_before;
select open_months(now());
