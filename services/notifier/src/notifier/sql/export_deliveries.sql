-- A page ($2) of a person's deliveries ($1) after one, oldest first: each as JSON, and its place. Left out is how they are worked
-- on and traced.
select row_to_json(w)::text, happened_at, id
from (
    select id, channel, service, device_id, cause, todo_id, kind, data, state, reason, happened_at, created_at,
        expires_at, settled_at
    from delivery where user_id = $1 and (happened_at, id) > ($3, $4) order by happened_at, id limit $2
) w
order by happened_at, id
