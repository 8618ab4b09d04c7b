-- What people did, as the archive says after a number ($2) up to another ($3), for a build ($1): in the zone that was in
-- force then, as far as it was known by the event's own number.
insert into projections.action (build, number, event, user_id, todo_id, kind, at, wall, delta)
select $1, e.number, e.number, e.subject, (e.data ->> 'todo_id')::uuid, e.kind, e.time,
    e.time at time zone coalesce(z.zone, 'Asia/Seoul'), 1
from (
    select
        number, subject, time, data,
        case type
            when 'todos.TodoCreated.v1' then 'created'
            when 'todos.TodoToggled.v1' then case when (data ->> 'completed')::boolean then 'completed' else 'reopened' end
            when 'todos.TodoEdited.v1' then 'edited'
            when 'todos.TodoDeleted.v1' then 'deleted'
            when 'todos.TodoRestored.v1' then 'restored'
            when 'todos.TodoOverdue.v1' then 'overdue'
            when 'auth.UserRegistered.v1' then 'registered'
        end as kind
    from archive
    where number > $2 and number <= $3 and feed in ('AUTH', 'TODOS')
) e
left join lateral (
    select z.zone from projections.zone z
    where z.build = $1 and z.user_id = e.subject and z.since <= e.time and z.number <= e.number
    order by z.since desc, z.number desc limit 1
) z on true
where e.kind is not null and not exists (select from events.erasure g where g.subject = e.subject)
