-- $1 events of feed TODOS as `append` stores them, said by $2 people: in each ten thousand a quarter makes to-dos, then
-- these are completed, renamed and put away, so that events that follow one another are of to-dos that differ. Ids grow with time.
insert into events.log (
    feed, seq, id, command_id, aggregate, version, type, subject, time,
    correlation_id, causation_id, actor, traceparent, data
)
select
    'TODOS', e.nr, e.id, e.id, e.todo, 1 + e.step, e.type, e.person, now(),
    e.id, e.id, e.person, '00-' || md5('trace ' || e.nr) || '-' || left(md5('span ' || e.nr), 16) || '-00',
    case e.step
        when 0 then (select row_to_json(d) from (
            select
                e.todo as todo_id, e.title, null as description, 2 as priority, false as completed, null as due_at,
                null as remind_minutes_before, null as due_zone, null as recurrence, null as wall_time, null as continues
        ) d)
        when 1 then (select row_to_json(d) from (
            select e.todo as todo_id, e.title, 2 as priority, true as completed, null as next_id
        ) d)
        when 2 then (select row_to_json(d) from (select e.todo as todo_id, e.title || '!' as title) d)
        else (select row_to_json(d) from (
            select e.todo as todo_id, e.title || '!' as title, 2 as priority, true as completed
        ) d)
    end
from (
    select
        nr, step, uuidv7() as id,
        (lpad(to_hex(1764400000000 + block * 2500 + place), 12, '0') || '7' || left(md5('todo ' || place), 3)
            || '8' || right(md5('todo ' || block), 15))::uuid as todo,
        md5('person ' || place % $2::int)::uuid as person,
        (array['우유 사기', 'Write the report', '세탁소에 들르기', 'Call the dentist', '여권 갱신하기'])[1 + place % 5] as title,
        (array['todos.TodoCreated.v1', 'todos.TodoToggled.v1', 'todos.TodoEdited.v1', 'todos.TodoDeleted.v1'])[1 + step] as type
    from (
        select nr, (nr - 1) / 10000 as block, (nr - 1) % 10000 / 2500 as step, (nr - 1) % 2500 as place
        from generate_series(1, $1::int) as nr
    ) each
    order by nr
) e
