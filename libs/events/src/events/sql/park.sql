-- Sets events aside in the transaction that moves the checkpoint over them; hearing a feed again parks nothing twice. Of the
-- erased only the number is kept.
with given as (
    select * from unnest(
        $3::bigint[], $4::uuid[], $5::text[], $6::json[], $7::bytea[], $8::timestamptz[]
    ) as p (seq, key, type, headers, data, published_at)
), erased as materialized (
    select events.erased_among($4::uuid[]) as key
), noted as (
    insert into events.discarded (consumer, feed, seq, key, type)
    select $1, $2, g.seq, g.key, g.type from given g where g.key in (select key from erased)
    on conflict do nothing
)
insert into events.parked (
    consumer, feed, seq, key, type, headers, data, published_at, reason, detail, stack, attempts, due_at
)
select
    $1, $2, g.seq, g.key, g.type, g.headers, g.data, g.published_at, $9, $10, $11, $12::int,
    clock_timestamp() + make_interval(secs => $13::float8)
from given g where g.key not in (select key from erased)
on conflict do nothing
