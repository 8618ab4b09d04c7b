-- Queued rows past their expiry, claimed under a fresh token to be given up.
with late as materialized (
    select id from {table}
    where state = 'queued' and expires_at <= $3
    limit $1
    for update skip locked
)
update {table} as w
set state = 'claimed', token = events.token_of($4), lease_until = clock_timestamp() + make_interval(secs => $2)
from late
where w.id = late.id
returning w.*
