-- An act that has had as many events as it may: what would be next waits for another one.
update events.parked p set due_at = null, act = null
from events.act a
where a.id = $1 and p.act = a.id and a.applied + a.failed >= a.events_max
