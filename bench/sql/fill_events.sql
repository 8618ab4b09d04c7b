-- The events that made the next $2 to-dos after $1 in the order of their ids, as `append` stores them: one each, numbered on from
-- the feed's counter, which is moved. Gives the last to-do's id; null: there was none.
with next as (
    select *, row_number() over (order by id) as nr from todo where id > $1 order by id limit $2
), said as (
    insert into events.log (
        feed, seq, id, command_id, aggregate, version, type, subject, time,
        correlation_id, causation_id, actor, traceparent, data
    )
    select
        'TODOS', (select last_seq from events.feed where name = 'TODOS') + t.nr, t.event, t.event, t.id, 1,
        'todos.TodoCreated.v1', t.user_id, t.created_at,
        t.event, t.event, t.user_id, '00-' || md5('trace ' || t.event) || '-' || left(md5('span ' || t.event), 16) || '-00',
        (select row_to_json(d) from (
            select
                t.id as todo_id, t.title, t.description, t.priority, t.completed, t.due_at,
                t.remind_minutes_before, t.due_zone, t.recurrence, t.wall_time, t.continues
        ) d)
    from (select *, uuidv7() as event from next order by nr) t
    returning 1
)
update events.feed set last_seq = last_seq + (select count(*) from said) where name = 'TODOS'
returning (select id from next order by nr desc limit 1)
