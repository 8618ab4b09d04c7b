-- The point of no return is next: from here on an ended lease means unknown. One not told: the claim is no longer ours.
update {table} as w set state = 'sending', lease_until = clock_timestamp() + make_interval(secs => $3)
from unnest($1::uuid[], $2::uuid[]) as marked (id, token)
where w.id = marked.id and w.token = marked.token and w.state = 'claimed' and w.lease_until > clock_timestamp()
returning w.id, w.token
