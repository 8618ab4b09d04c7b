-- An event and its row in one statement: pgbench's best.
with event as (
    insert into peer.log (
        feed, id, command_id, aggregate, version, type, subject, time, correlation_id, causation_id, actor, traceparent, data
    )
    values (
        'TODOS', uuidv7(), uuidv7(), uuidv7(), 1, 'todos.TodoCreated.v1', '00000000-0000-0000-0000-000000000001', now(),
        '019ac9a0-7f6e-7c5b-9d5f-3b5f7f1f2a01', '', '00000000-0000-0000-0000-000000000001',
        '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
        '{"todo_id":"019ac9a0-7f6e-7c5b-9d5f-3b5f7f1f2a01","title":"우유 사기","description": null,"priority": 2,"completed": false,"due_at": null,"remind_minutes_before": null,"due_zone": null,"recurrence": null,"wall_time": null,"continues": null}'
    )
    returning aggregate, subject, time
)
insert into peer.todo (id, user_id, version, title, priority, completed, created_at, updated_at)
select aggregate, subject, 1, '우유 사기', 2, false, time, time from event;
