-- What is tried again next: of those that are due, the one that has waited longest. Only a key's first one ever is.
select p.feed, p.seq, a.per_second
from events.parked p left join events.act a on a.id = p.act
where p.consumer = $1 and p.feed = any ($2) and p.due_at <= clock_timestamp()
order by p.due_at, p.feed, p.seq
limit 1
