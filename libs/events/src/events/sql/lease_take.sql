-- Takes or renews a lease by the database's clock; a new holder gets a new epoch. No row: somebody else holds it.
insert into events.lease as l (name, holder, expires_at)
values ($1, $2, clock_timestamp() + make_interval(secs => $3))
on conflict (name) do update
set
    holder = excluded.holder,
    expires_at = excluded.expires_at,
    epoch = l.epoch + case when l.holder = excluded.holder then 0 else 1 end
where l.holder = excluded.holder or l.expires_at < clock_timestamp()
returning epoch
