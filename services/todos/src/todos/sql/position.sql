-- The number of the feed's last event, and when the event after $1 happened.
select f.last_seq, (select l.time from events.log l where l.feed = 'TODOS' and l.seq = $1 + 1) as next_at
from events.feed f where f.name = 'TODOS'
