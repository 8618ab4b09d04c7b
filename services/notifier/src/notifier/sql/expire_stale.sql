-- Deliveries about a to-do ($1) and of a kind ($2) that tell of something before a moment ($3) expire: it is no longer
-- true. What is being sent just now stays, and expires where it is put off.
update delivery d set expires_at = least(d.expires_at, n.at)
from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as n (todo_id, kind, at)
where d.todo_id = n.todo_id and d.kind = n.kind and d.happened_at < n.at and d.settled_at is null
    and d.state in ('queued', 'claimed')
