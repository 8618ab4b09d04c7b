-- Sets messages aside in the transaction that moves the checkpoint over them. Of the erased nothing is kept.
insert into events.parked (
    consumer, feed, seq, key, type, headers, data, published_at, reason, detail, stack, attempts, due_at
)
select
    $1, $2, p.seq, p.key, p.type, p.headers, p.data, p.published_at, p.reason, p.detail, p.stack, p.attempts,
    clock_timestamp() + make_interval(secs => p.retry)
from unnest(
    $3::bigint[], $4::uuid[], $5::text[], $6::json[], $7::bytea[], $8::timestamptz[], $9::text[], $10::text[], $11::text[],
    $12::int[], $13::float8[]
) as p (seq, key, type, headers, data, published_at, reason, detail, stack, attempts, retry)
where p.key is null or p.key not in (select events.erased_among($4::uuid[]))
