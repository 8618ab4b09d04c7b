-- DuckDB: what became of the codes that were asked for on a day in UTC. The percentiles are the times at 50 and 95 in 100 of
-- them, rounded up.
with mails as (
    select challenge, waited_ms from told where what = 'mailed' and kind = 'code' and outcome = 'sent'
),
codes as (
    select
        moment::date as day, m.challenge is not null as mailed, m.waited_ms,
        exists (select 1 from told v where v.what = 'verified' and v.challenge = r.challenge) as verified,
        (select count(*) from told w where w.what = 'rejected' and w.challenge = r.challenge) as rejections
    from told r left join mails m on m.challenge = r.challenge
    where r.what = 'requested'
),
placed as (
    select *, row_number() over (partition by day order by waited_ms nulls last) as place,
        count(waited_ms) over (partition by day) as waits
    from codes
)
select
    day, count(*)::int as requested,
    (count(*) filter (where mailed))::int as mailed,
    (count(*) filter (where verified))::int as verified,
    (count(*) filter (where rejections > 0))::int as rejected,
    sum(rejections)::int as rejections,
    min(waited_ms) filter (where 100 * place >= 50 * waits)::int as mail_p50_ms,
    min(waited_ms) filter (where 100 * place >= 95 * waits)::int as mail_p95_ms
from placed group by all
