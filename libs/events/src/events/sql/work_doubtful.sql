-- Claims whose lease ended after the point of no return, taken over under a fresh token to be judged; so are those of holders
-- that are gone, once their lease has less than $4 seconds left: by then whoever only lost a session has said what came of it.
with late as materialized (
    select id from {table}
    where state = 'sending' and lease_until < clock_timestamp() + make_interval(secs => $4)
        and (lease_until < clock_timestamp() or events.is_gone(token))
    limit $1
    for update skip locked
)
update {table} as w
set token = events.token_of($3), lease_until = clock_timestamp() + make_interval(secs => $2)
from late
where w.id = late.id
returning w.*
