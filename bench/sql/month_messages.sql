-- DuckDB: what became of mails, pushes and SMS on a day in UTC. The percentiles are as those of sign-ins.
with messages as (
    select moment::date as day, channel, coalesce(kind, 'unknown') as kind, outcome, waited_ms
    from told where what in ('mailed', 'pushed')
),
placed as (
    select *, row_number() over (partition by day, channel, kind order by waited_ms nulls last) as place,
        count(waited_ms) over (partition by day, channel, kind) as waits
    from messages
)
select
    day, channel, kind,
    (count(*) filter (where outcome = 'sent'))::int as sent,
    (count(*) filter (where outcome in ('refused', 'unreadable', 'gave_up', 'unregistered', 'capped')))::int as failed,
    (count(*) filter (where outcome = 'expired'))::int as expired,
    (count(*) filter (where outcome = 'unknown'))::int as unknown,
    min(waited_ms) filter (where 100 * place >= 50 * waits)::int as wait_p50_ms,
    min(waited_ms) filter (where 100 * place >= 95 * waits)::int as wait_p95_ms
from placed group by all
