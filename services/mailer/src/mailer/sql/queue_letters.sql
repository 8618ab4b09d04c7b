-- Letters to send, one a row of the arrays; a letter that is already there stays as it is, and one whose end the log tells is not
-- written again: its row is lost where the database came back from a copy. One that is held is not due.
insert into letter (
    id, due_at, expires_at, kind, cause, subject, correlation_id, traceparent, happened_at, locale, message_id, sealed,
    facts, held_until, todo_id, reason
)
select
    id, case when held_until is null then clock_timestamp() else 'infinity' end, expires_at, kind, cause, subject,
    correlation_id, traceparent, happened_at, locale, message_id, sealed, facts, held_until, todo_id,
    case when held_until is not null then 'may become one of several' end
from unnest(
    $1::uuid[], $2::timestamptz[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::timestamptz[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::uuid[]
) as n (
    id, expires_at, kind, cause, subject, correlation_id, traceparent, happened_at, locale, message_id, sealed, facts,
    held_until, todo_id
)
where (select true from events.log l where l.feed = 'MAILER' and l.aggregate = n.id limit 1) is null
on conflict (id) do nothing
