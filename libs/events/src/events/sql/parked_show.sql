-- All that is known of one parked event.
select feed, seq, key, type, headers, data, published_at, reason, detail, stack, attempts, due_at, parked_at
from events.parked where consumer = $1 and feed = $2 and seq = $3
