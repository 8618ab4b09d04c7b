-- Archives a batch of one feed, numbered in the order heard; the counter row is held from here to the commit. Times follow
-- the numbers, and none is as old as what was asked for as of a time (fence.sql).
with counter as (
    update archive_counter set
        last_number = last_number + cardinality($3::bigint[]),
        heard_at = greatest(heard_at + interval '1 microsecond', $2::timestamptz)
    returning last_number - cardinality($3::bigint[]) as before, heard_at
)
insert into archive (
    number, feed, heard_at, seq, event_id, type, subject, aggregate, version, time,
    correlation_id, causation_id, actor, traceparent, data, sha256, published_at
)
select
    counter.before + e.nr, $1, counter.heard_at, e.seq, e.event_id, e.type, e.subject, e.aggregate, e.version, e.time,
    e.correlation_id, e.causation_id, e.actor, e.traceparent, e.data, e.sha256,
    e.published_at
from counter, unnest(
    $3::bigint[], $4::uuid[], $5::text[], $6::uuid[], $7::uuid[], $8::bigint[], $9::timestamptz[],
    $10::text[], $11::text[], $12::text[], $13::text[], $14::json[],
    $15::bytea[], $16::timestamptz[]
) with ordinality as e (
    seq, event_id, type, subject, aggregate, version, time, correlation_id, causation_id, actor, traceparent, data, sha256,
    published_at, nr
)
