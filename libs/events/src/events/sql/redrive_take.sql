-- A parked event, if it is still due. Callers hold the checkpoint: nothing queues up behind its key meanwhile.
select headers, data, published_at, attempts, act from events.parked
where consumer = $1 and feed = $2 and seq = $3 and due_at <= clock_timestamp()
for update
