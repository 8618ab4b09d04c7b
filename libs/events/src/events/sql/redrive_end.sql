-- An act that has had as many events as it may: what would be next waits for another one, or for its own next try ($2: how
-- often an event is tried by itself).
update events.parked p
set due_at = case when p.reason = 'failed' and p.attempts < $2 then clock_timestamp() end, act = null
from events.act a
where a.id = $1 and p.act = a.id and a.applied + a.failed >= a.events_max
