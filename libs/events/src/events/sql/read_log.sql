-- The events of a feed after a number, in order.
select seq, id, aggregate, version, type, subject, time, correlation_id, causation_id, actor, traceparent, data
from events.log
where feed = $1 and seq > $2
order by seq
limit $3
