-- The periods to close, longest due first, and held; those that another instance holds, or a change of zone, are left out.
select o.user_id, o.period, o.first_day, o.since, p.timezone, p.registered_at
from open_period o join person p on p.user_id = o.user_id
where o.due_at <= $1
order by o.due_at limit $2
for no key update of o, p skip locked
