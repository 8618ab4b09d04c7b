-- DuckDB: what became of the to-dos that a person made on a day: how long each took to its first completion, if it had one.
-- The median is the completed one at half of them, rounded up.
with took as (
    select
        c.person, c.wall::date as day,
        (select min(epoch_us(d.moment)) from doings d where d.todo = c.todo and d.what = 'completed') - epoch_us(c.moment) as us
    from doings c where c.what = 'created'
),
placed as (
    select *, row_number() over (partition by person, day order by us nulls last) as place,
        count(us) over (partition by person, day) as completed
    from took
)
select
    person as user_id, day, count(*)::int as created,
    (count(*) filter (where us <= 86400000000))::int as completed_1d,
    (count(*) filter (where us <= 7 * 86400000000))::int as completed_7d,
    (count(*) filter (where us <= 30 * 86400000000))::int as completed_30d,
    any_value(completed)::int as completed,
    max(us) filter (where place = (completed + 1) // 2) / 1000000 as median_seconds
from placed group by all
