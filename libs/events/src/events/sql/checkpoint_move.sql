-- The fence: moves the checkpoint only from where this instance left it. No row: another instance is at work.
update events.checkpoint set seq = $3, event_id = $4
where consumer = $1 and feed = $2 and seq = $5
returning seq
