-- Of each feed: where the archive of it begins and ends, how many numbers it holds, and how far the feed was heard.
select
    a.feed, a.first, a.last, a.numbers, a.rows, coalesce(c.seq, 0) as heard
from (
    select feed, min(seq) as first, max(seq) as last, count(distinct seq) as numbers, count(*) as rows
    from archive group by feed
) a
left join events.checkpoint c on c.consumer = $1 and c.feed = a.feed
order by a.feed
