-- A parked event failed again ($4 to $7: why, where, how often); it is due in $8 seconds, or (null) when an operator says so.
-- The act that it was tried for ($9) counts it once; what is tried by itself later is nobody's act. Not where somebody else
-- tried it, or acted, meanwhile.
with kept as (
    update events.parked p
    set reason = $4, detail = $5, stack = $6, attempts = $7, due_at = clock_timestamp() + make_interval(secs => $8), act = null
    where p.consumer = $1 and p.feed = $2 and p.seq = $3 and p.attempts = $7 - 1 and p.act is not distinct from $9::uuid
    returning 1
)
update events.act a
set failed = failed + 1, next_at = clock_timestamp() + make_interval(secs => coalesce(1 / a.per_second, 0))
from kept where a.id = $9
