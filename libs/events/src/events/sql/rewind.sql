-- Sets a consumer back in a feed, to a number ($3) and the event there. Callers hold the checkpoint; no row: it is no further. What
-- was parked or given up beyond that is forgotten, for it is heard again. The lease changes hands for a moment: whoever held it
-- reads the checkpoint anew.
with moved as (
    update events.checkpoint set seq = $3, event_id = $4 where consumer = $1 and feed = $2 and seq > $3
    returning old.seq
), parked as (
    delete from events.parked p using moved where p.consumer = $1 and p.feed = $2 and p.seq > $3 returning 1
), given_up as (
    delete from events.discarded d using moved
    where d.consumer = $1 and d.feed = $2 and d.seq > $3 and d.act is not null
    returning 1
), taken as (
    update events.lease
    set holder = gen_random_uuid(), epoch = epoch + 1, expires_at = clock_timestamp() - interval '1 second'
    from moved where name = 'consumer ' || $1
)
select
    moved.seq as before,
    (select count(*) from parked) as parked,
    (select count(*) from given_up) as given_up
from moved
