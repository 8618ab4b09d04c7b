-- Claims due rows of a lane for one worker: in their turn, none that another holds; each gets a lease and a fresh token.
-- Materialized: a plan that read the choice twice would claim more than the limit.
with due as materialized (
    select id from {table}
    where state = 'queued' and ({lane})
        and due_at <= clock_timestamp() and (expires_at is null or expires_at > $3)
    order by {turn}
    limit $1
    for update skip locked
)
update {table} as w
set state = 'claimed', token = events.token_of($4), lease_until = clock_timestamp() + make_interval(secs => $2),
    attempts = w.attempts + 1
from due
where w.id = due.id
returning w.*
