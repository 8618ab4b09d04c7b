-- Whose weeks and months are closed, in which zone, and which are open. Written by what is heard, moved by each closing.
create table person (
    user_id uuid primary key,
    -- As chosen; null: the default.
    timezone text,
    registered_at timestamptz not null
) with (fillfactor = 80);

create table open_period (
    user_id uuid not null references person on delete cascade,
    period text not null check (period in ('week', 'month')),
    -- Names the period in any zone; `since` is the moment where it begins.
    first_day date not null,
    since timestamptz not null,
    due_at timestamptz not null,
    primary key (user_id, period)
) with (fillfactor = 70);
create index open_period_due on open_period (due_at);

grant select, insert, update, delete on person to :role;
grant select, insert, update on open_period to :role;

-- A zone's name, null where this server does not know it: a query that uses it would fail for everybody in it.
create function known_zone(p_name text) returns text language plpgsql stable as $$
begin
    perform now() at time zone p_name;
    return p_name;
exception when invalid_parameter_value then
    return null;
end
$$;

-- Who is here already, by the archive, and the periods that are open now.
insert into person (user_id, timezone, registered_at)
select
    r.subject, known_zone(case when c.seq is null then r.data ->> 'timezone' else c.data ->> 'timezone' end), r.time
from archive r
left join lateral (
    select c.seq, c.data from archive c
    where c.feed = 'AUTH' and c.subject = r.subject and c.sha256 is null and c.type = 'auth.ProfileChanged.v1'
    and c.data::jsonb ? 'timezone'
    order by c.seq desc limit 1
) c on true
where r.feed = 'AUTH' and r.type = 'auth.UserRegistered.v1'
on conflict do nothing;

insert into open_period (user_id, period, first_day, since, due_at)
select
    user_id, period, first_day::date, first_day at time zone zone,
    (first_day + ('1 ' || period)::interval + interval '9 hours') at time zone zone
from (
    select p.user_id, k.period, z.zone, date_trunc(k.period, now() at time zone z.zone) as first_day
    from person p
    cross join lateral (select coalesce(p.timezone, 'Asia/Seoul') as zone) z
    cross join unnest(array['week', 'month']) as k (period)
) opened;
