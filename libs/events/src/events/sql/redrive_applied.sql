-- A parked event has had its effect: it goes, the next one of its key is due, and its act counts it and paces what follows.
with gone as (
    delete from events.parked where consumer = $1 and feed = $2 and seq = $3
    returning key, act
), next_one as (
    update events.parked p set due_at = clock_timestamp(), reason = 'next', act = gone.act
    from gone
    where p.consumer = $1 and p.feed = $2 and p.seq = (
        select min(n.seq) from events.parked n
        where n.consumer = $1 and n.feed = $2 and n.key = gone.key and n.seq > $3
    )
)
update events.act a
set applied = applied + 1, next_at = clock_timestamp() + make_interval(secs => coalesce(1 / a.per_second, 0))
from gone where a.id = gone.act
