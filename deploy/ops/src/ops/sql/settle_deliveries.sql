-- Ends deliveries as events $1 to $2 of notifier's log tell, which it got back: the rows are of a copy, and would be made again.
-- A device that was unregistered stays: it may have come back since, and else its next delivery removes it.
with told as materialized (
    select
        aggregate as id, time, data ->> 'reason' as reason,
        case
            when type = 'notifier.NotificationDelivered.v1' then 'sent'
            when data ->> 'reason' in ('expired', 'unknown') then data ->> 'reason'
            else 'failed'
        end as state
    from events.log
    where feed = 'NOTIFIER' and seq between $1 and $2
        and type in ('notifier.NotificationDelivered.v1', 'notifier.NotificationFailed.v1')
)
update delivery d
set state = t.state, reason = t.reason, settled_at = t.time, token = null, lease_until = null
from told t
where d.id = any (array(select id from told)) and d.id = t.id and d.settled_at is null
