-- $1 entries of $2 people over ten weeks, a tenth of them the first one's; a tenth of the people have a week that is due.
with someone as (
    insert into person (user_id, registered_at)
    select md5('person ' || n)::uuid, now() - interval '70 days' from generate_series(0, $2::int - 1) as n
    returning user_id
), opened as (
    insert into open_period (user_id, period, first_day, since, due_at)
    select
        user_id, period, current_date - 7, current_date - 7,
        now() + make_interval(hours => case when row_number() over () % 20 = 0 then -1 else 100 end)
    from someone cross join unnest(array['week', 'month']) as k (period)
)
insert into entry (feed, seq, id, user_id, action, details, at)
select
    'TODOS', n, gen_random_uuid(), md5('person ' || who)::uuid,
    (array['todo_created', 'todo_toggled', 'todo_edited', 'todo_overdue'])[1 + n % 4],
    jsonb_build_object('todo_id', md5('todo ' || n / 4), 'title', 'a', 'priority', 3, 'completed', n % 4 = 1),
    now() - make_interval(mins => (n * 7919::bigint % 100800)::int)
from (
    select n, case when n % 10 = 1 then 0 else 1 + (n * 7919::bigint) % ($2 - 1) end as who
    from generate_series(1, $1::int) as n
) each
