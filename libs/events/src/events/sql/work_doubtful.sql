-- Claims whose lease ended after the point of no return, taken over under a fresh token to be judged. Half a lease after its mark
-- nobody acts any more: from then on it is enough that the holder is gone.
with late as materialized (
    select id from {table}
    where state = 'sending' and lease_until < clock_timestamp() + make_interval(secs => $2::float8 / 2)
        and (lease_until < clock_timestamp() or events.is_gone(token))
    limit $1
    for update skip locked
)
update {table} as w
set token = events.token_of($3), lease_until = clock_timestamp() + make_interval(secs => $2)
from late
where w.id = late.id
returning w.*
