-- The same with what a command holds.
with event as (
    insert into peer.log (
        feed, id, command_id, aggregate, version, type, subject, time, correlation_id, causation_id, actor, traceparent, data
    )
    values ('TODOS', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
)
insert into peer.todo (id, user_id, version, title, description, priority, completed, due_at, created_at, updated_at)
values ($3, $6, $4, $13, $14, $15, $16, $17, $7, $7)
