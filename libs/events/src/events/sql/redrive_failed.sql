-- A parked event failed again ($4 to $7: why, where, how often); it is due in $8 seconds, or (null) when an operator says so.
with kept as (
    update events.parked p
    set reason = $4, detail = $5, stack = $6, attempts = $7, due_at = clock_timestamp() + make_interval(secs => $8),
        act = case when $8::float8 is not null then p.act end
    from (select act from events.parked where consumer = $1 and feed = $2 and seq = $3) before
    where p.consumer = $1 and p.feed = $2 and p.seq = $3
    returning before.act
)
update events.act a set failed = failed + 1 from kept where a.id = kept.act
