-- The periods to close, longest due first, and held; those that another instance holds, or a change of zone, are left out, and
-- those of people with something parked: it would be missing.
select o.user_id, o.period, o.first_day, o.since, p.timezone, p.registered_at
from open_period o join person p on p.user_id = o.user_id
where o.due_at <= $1 and not exists (select from events.parked x where x.consumer = $3 and x.key = o.user_id)
order by o.due_at limit $2
for no key update of o, p skip locked
