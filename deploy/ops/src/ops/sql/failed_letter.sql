-- Letters that failed, or whose outcome is unknown, the latest first, in the words of what is parked.
select
    null as feed, null as seq, id, cause, subject as key, 'letter ' || kind as type, state as reason, attempts,
    settled_at as parked_at, null::timestamptz as due_at, concat_ws(', ', reason, 'of event ' || cause) as detail
from letter
where state in ('failed', 'unknown') and settled_at is not null
    and ($1::uuid is null or subject = $1) and ($2::text is null or state = $2)
order by settled_at desc
limit $3
