-- A month is made before what is of it is heard, in the transaction that hears it; `entry_other` holds what came after its
-- month was dropped, and is emptied each minute.
create or replace function make_month(p_table text, p_column text, p_first timestamp) returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    v_name text := p_table || '_' || to_char(p_first, 'YYYY_MM');
    v_from timestamptz := p_first at time zone 'UTC';
    v_to timestamptz := (p_first + interval '1 month') at time zone 'UTC';
begin
    -- Not by to_regclass: what that found missing before the lock was waited for it remembers as missing.
    if exists (select from pg_class where relname = v_name and relnamespace = 'public'::regnamespace) then
        return;
    end if;
    -- Whoever adds chose a partition before it waited: a row of this month in the other one would fail, or have the month
    -- fail. So nobody adds until the month is there; who reads waits for the attaching alone.
    execute format('lock table public.%I in share row exclusive mode', p_table);
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

-- Makes those of these months of the log (their first days) that are not there; which were. Before its transaction adds any
-- entry: two that had added would wait for each other.
create function open_entry_months(p_months date[]) returns date[]
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    v_there date[] := array(
        select m from unnest(p_months) m where to_regclass('public.entry_' || to_char(m, 'YYYY_MM')) is not null
    );
begin
    if cardinality(v_there) < cardinality(p_months) then
        perform pg_advisory_xact_lock(hashtext('activity.months'));
        perform make_month('entry', 'at', m) from unnest(p_months) m;
    end if;
    return v_there;
end
$$;
revoke all on function open_entry_months from public;
grant execute on function open_entry_months to :role;

select open_months(now());
