-- The fence: moves the checkpoint only from where this instance left it. No row: another instance is at work. How long each
-- of the events that it moves over had waited ($6) at a moment ($7) is noted, where that is measured. Also whether anything
-- is parked: what is redriven meanwhile may still be counted, what was parked before is.
with moved as (
    update events.checkpoint set seq = $3, event_id = $4
    where consumer = $1 and feed = $2 and seq = $5
    returning seq
), noted as (
    insert into events.hearing (consumer, feed, first_seq, at, waited_ms)
    select $1, $2, seq - cardinality($6::bigint[]) + 1, $7::timestamptz, $6 from moved where $6 <> '{}'
)
select exists (select from events.parked where consumer = $1 and feed = $2) from moved
