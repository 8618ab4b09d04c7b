-- Copies events back into a log that lost them, under their numbers. Which of them were one command is not known any more: each
-- answers for itself alone.
insert into events.log (
    feed, seq, id, command_id, aggregate, version, type, subject, time,
    correlation_id, causation_id, actor, traceparent, data, sha256
)
select
    $1, e.seq, e.id, e.id, e.aggregate, e.version, e.type, e.subject, e.time,
    e.correlation_id, e.causation_id, e.actor, e.traceparent, e.data,
    case when e.type = 'core.Erased.v1' then sha256(convert_to(e.data::text, 'UTF8')) end
from unnest(
    $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::uuid[], $8::timestamptz[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::json[]
) as e (
    seq, id, aggregate, version, type, subject, time, correlation_id, causation_id, actor, traceparent, data
)
