-- The events of one aggregate, in order of version.
select seq, id, aggregate, version, type, subject, time, correlation_id, causation_id, actor, traceparent, data
from events.log
where feed = $1 and aggregate = $2
order by version
