-- Figures of everybody in one pass over the rows, without a join of all with all: a build that was just made has no statistics
-- yet, and what is guessed then is a join row by row (27,000 actions: 56 s). What they tell is what they told.
create or replace view analytics.cohorts as
with shown as materialized (select build, position from projections.shown where projection = 'actions'),
days as (
    select user_id, todo_id, kind, wall::date as day, min(at) as at, sum(delta) as delta
    from projections.action
    where build = (select build from shown) and number <= (select position from shown) and kind in ('created', 'completed')
    group by user_id, todo_id, kind, wall::date
),
lives as (
    select
        user_id, kind, day, delta, at,
        min(at) filter (where kind = 'completed') over (partition by user_id, todo_id) as done
    from days
)
select
    user_id, day, count(*)::int as created,
    count(*) filter (where done - at <= interval '1 day')::int as completed_1d,
    count(*) filter (where done - at <= interval '7 days')::int as completed_7d,
    count(*) filter (where done - at <= interval '30 days')::int as completed_30d,
    count(done)::int as completed,
    (percentile_disc(0.5) within group (order by extract(epoch from done - at)))::float8 as median_seconds
from lives where kind = 'created' and delta > 0
group by user_id, day;

create or replace view analytics.active as
with shown as materialized (select build, position from projections.shown where projection = 'actions'),
days as (
    select user_id, wall::date as day
    from projections.action
    where build = (select build from shown) and number <= (select position from shown)
        and kind in ('created', 'completed', 'reopened', 'edited', 'deleted', 'restored')
    group by user_id, wall::date
    having sum(delta) > 0
),
weeks as (select distinct user_id, date_trunc('week', day::timestamp)::date as week from days),
months as (select distinct user_id, date_trunc('month', day::timestamp)::date as month from days)
select 'day'::text as period, day as first_day, count(*)::int as people from days group by day
union all
select 'week', week, count(*)::int from weeks group by week
union all
select 'month', month, count(*)::int from months group by month;

create or replace view analytics.retention as
with shown as materialized (select build, position from projections.shown where projection = 'actions'),
weeks as (
    select user_id, kind = 'registered' as is_first, date_trunc('week', wall)::date as week
    from projections.action
    where build = (select build from shown) and number <= (select position from shown)
        and kind in ('registered', 'created', 'completed', 'reopened', 'edited', 'deleted', 'restored')
    group by user_id, kind = 'registered', date_trunc('week', wall)
    having sum(delta) > 0
),
lives as (
    select is_first, week, min(week) filter (where is_first) over (partition by user_id) as cohort from weeks
),
counted as (
    select
        cohort, (week - cohort) / 7 as weeks_after,
        count(*) filter (where not is_first) as active,
        sum(count(*) filter (where is_first)) over (partition by cohort) as registered
    from lives where week >= cohort
    group by cohort, (week - cohort) / 7
)
select cohort, weeks_after, registered::int as registered, active::int as active from counted where active > 0;
