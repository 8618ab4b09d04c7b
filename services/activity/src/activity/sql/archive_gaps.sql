-- Of each feed: where the archive of it begins and ends, how many numbers it holds, and how far the feed was heard. Of the
-- own feed, how many were erased, and gone from its stream, before they could be heard. How many are parked or given up.
select
    a.feed, a.first, a.last, a.numbers, a.rows, coalesce(c.seq, 0) as heard,
    (
        select count(*) from events.log l
        where l.feed = a.feed and l.seq >= a.first and l.seq <= c.seq and l.sha256 is not null
            and not exists (select from archive h where h.feed = l.feed and h.seq = l.seq)
    ) as erased,
    (
        select count(*) from (
            select feed, seq from events.parked where consumer = $1
            union all
            select feed, seq from events.discarded where consumer = $1
        ) aside
        where aside.feed = a.feed and aside.seq >= a.first
    ) as aside
from (
    select feed, min(seq) as first, max(seq) as last, count(distinct seq) as numbers, count(*) as rows
    from archive group by feed
) a
left join events.checkpoint c on c.consumer = $1 and c.feed = a.feed
order by a.feed
