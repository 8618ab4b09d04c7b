-- DuckDB: how long events took to the consumers that tell of it, by the hour of being appended; how many reached the stream and
-- the archive. What these two took is not in the file.
with waits as (
    select unnest(moments) as moment, kind as feed, channel as reached, unnest(waits) as waited_ms
    from archived where what = 'heard'
    union all
    select moment, feed, unnest(['stream', 'activity']), null from archived
),
placed as (
    select *, date_trunc('hour', moment) as hour,
        row_number() over (partition by date_trunc('hour', moment), feed, reached order by waited_ms) as place,
        count(waited_ms) over (partition by date_trunc('hour', moment), feed, reached) as waits
    from waits
)
select
    hour, feed, reached, count(*)::int as events,
    min(waited_ms) filter (where 100 * place >= 50 * waits) as p50_ms,
    min(waited_ms) filter (where 100 * place >= 95 * waits) as p95_ms,
    min(waited_ms) filter (where 100 * place >= 99 * waits) as p99_ms
from placed group by all
