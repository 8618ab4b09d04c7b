-- The last number of a feed in its log, and for how many seconds what follows a number ($2) is there already; null: nothing does.
select
    f.last_seq,
    (
        select extract(epoch from clock_timestamp() - l.appended_at)::float8 from events.log l
        where l.feed = f.name and l.seq > $2
        order by l.seq limit 1
    ) as waits
from events.feed f where f.name = $1
