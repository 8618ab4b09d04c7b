-- What people did in spans of time, one row a span in the order given, counted from their entries through the index by
-- person and time (`offset 0` and the subselect in `streak` keep it at one look a span or day). $6: the actions that are
-- a person's own, not the clock's. Days and hours are those of the span's zone. A to-do is completed when the span's last
-- word about it says so; a streak goes back from the span's last day, as far as it goes.
with recursive span as materialized (
    select * from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::date[])
        with ordinality as s (user_id, zone, since, until, last_day, nr)
), did as materialized (
    select s.nr, s.zone, e.*
    from span s
    cross join lateral (
        select n.at, n.seq, n.action, n.details -> 'todo_id' as todo_id, n.details -> 'completed' = 'true' as completed
        from entry n
        where n.user_id = s.user_id and n.at >= s.since and n.at < s.until and n.feed = 'TODOS'
        offset 0
    ) e
), counted as (
    select
        nr,
        count(*) filter (where action = any ($6::text[])) as doings,
        count(*) filter (where action = 'todo_created') as created,
        count(*) filter (where action = 'todo_overdue') as overdue
    from did group by nr
), completed as (
    select nr, count(*) filter (where completed) as completed
    from (
        select distinct on (nr, todo_id) nr, completed from did
        where action in ('todo_created', 'todo_toggled')
        order by nr, todo_id, seq desc
    ) last_word
    group by nr
), busiest as (
    select nr, array_agg(hour order by place) as hours
    from (
        select nr, hour, row_number() over (partition by nr order by count(*) desc, hour) as place
        from (
            select nr, extract(hour from at at time zone zone)::int as hour from did where action = any ($6::text[])
        ) each
        group by nr, hour
    ) ranked
    where place <= 3
    group by nr
), streak as (
    select nr, user_id, zone, last_day as day, 0 as days from span
    union all
    select nr, user_id, zone, day - 1, days + 1 from streak k
    where (
        select true from entry n
        where n.user_id = k.user_id
        -- A midnight that comes twice is the second one here: so the index is asked for more, and the day decides.
        and n.at >= (k.day::timestamp at time zone k.zone) - interval '3 hours'
        and n.at < ((k.day + 1)::timestamp at time zone k.zone) + interval '3 hours'
        and (n.at at time zone k.zone)::date = k.day
        and n.action in ('todo_created', 'todo_toggled') and n.details -> 'completed' = 'true'
        limit 1
    )
)
select
    coalesce(c.doings, 0)::int as doings, coalesce(c.created, 0)::int as created,
    coalesce(d.completed, 0)::int as completed, k.days as streak, coalesce(b.hours, '{}') as busiest_hours,
    coalesce(c.overdue, 0)::int as overdue
from span s
left join counted c using (nr)
left join completed d using (nr)
left join busiest b using (nr)
join (select nr, max(days) as days from streak group by nr) k using (nr)
order by nr
