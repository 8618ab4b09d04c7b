-- Claims whose lease ended after the point of no return, taken over under a fresh token to be judged.
with late as materialized (
    select id from {table}
    where state = 'sending' and lease_until < clock_timestamp()
    limit $1
    for update skip locked
)
update {table} as w
set token = gen_random_uuid(), lease_until = clock_timestamp() + make_interval(secs => $2)
from late
where w.id = late.id
returning w.*
