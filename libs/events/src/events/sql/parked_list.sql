-- Parked events, in order.
select feed, seq, key, type, reason, detail, attempts, due_at, parked_at
from events.parked
where consumer = $1
    and ($2::text is null or feed = $2)
    and ($3::bigint is null or seq = $3)
    and ($4::uuid is null or key = $4)
    and ($5::text is null or reason = $5)
order by feed, seq
limit $6
