-- Has what is chosen tried again, at most $9 events and $10 a second; returns the act and how many events are first in turn.
with act as (
    insert into events.act (what, consumer, who, why, chosen, events_max, per_second)
    values ('redrive', $1, $6, $7, $8, $9, $10)
    returning id
), due as (
    update events.parked p set due_at = clock_timestamp(), act = act.id
    from act, events.parked_first($1, $2, $3, $4, $5) f
    where p.consumer = f.consumer and p.feed = f.feed and p.seq = f.seq
    returning 1
)
select act.id, (select count(*) from due) as events from act
