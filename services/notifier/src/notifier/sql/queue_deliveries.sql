-- A delivery for each device that its person had when the event happened, by push or SMS, if they want that; one that is
-- already there stays as it is, and an event of yesterday is told on no device any more, nor is a deadline that has passed
-- told to be soon. How many are new.
with queued as (
    insert into delivery (
        id, expires_at, channel, service, device_id, user_id, cause, kind, data, correlation_id, traceparent, happened_at,
        todo_id
    )
    select uuidv7(),
        least(n.at + interval '24 hours', case n.kind when 'due_soon' then (n.data ->> 'due_at')::timestamptz end),
        case d.service when 'sms' then 'sms' else 'push' end, d.service, d.id, n.user_id, n.id,
        n.kind, n.data, n.correlation_id, n.traceparent, n.at, (n.data ->> 'todo_id')::uuid
    from unnest(
        $2::uuid[], $3::uuid[], $4::text[], $5::json[], $6::timestamptz[], $7::text[], $8::text[], $9::boolean[], $10::boolean[]
    ) as n (id, user_id, kind, data, at, correlation_id, traceparent, push, sms)
    cross join lateral (
        select * from device d
        where d.user_id = n.user_id and d.created_at <= n.at and case d.service when 'sms' then n.sms else n.push end offset 0
    ) d
    where n.at > $1::timestamptz - interval '24 hours'
    on conflict (cause, device_id) do nothing
    returning 1
)
select count(*) from queued
