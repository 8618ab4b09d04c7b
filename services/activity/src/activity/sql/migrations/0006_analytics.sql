-- What analysts read, and all that they may read: views that stay as they are; docs/analysts.md says how each is counted.
create schema analytics;
comment on schema analytics is
    'Figures that stay as they are: see docs/analysts.md. `set analytics.as_of = 1234` tells them as of a position.';

create view analytics.reflected as
select
    s.projection, s.version as metric_version, s.position,
    (select a.heard_at from public.archive a where a.number = s.position) as reflects
from projections.shown s;
comment on view analytics.reflected is 'What the other views reflect.';
comment on column analytics.reflected.projection is 'What the views below are made of.';
comment on column analytics.reflected.metric_version is 'The version of their definitions.';
comment on column analytics.reflected.position is 'How many events of the archive are in.';
comment on column analytics.reflected.reflects is 'When the last of them was heard.';

create view analytics.daily as
with shown as materialized (select build, position from projections.shown where projection = 'actions')
select
    user_id, wall::date as day,
    (coalesce(sum(delta) filter (where kind = 'created'), 0))::int as created,
    (coalesce(sum(delta) filter (where kind = 'completed'), 0))::int as completed,
    (coalesce(sum(delta) filter (where kind = 'reopened'), 0))::int as reopened,
    (coalesce(sum(delta) filter (where kind = 'deleted'), 0))::int as deleted,
    (coalesce(sum(delta) filter (where kind = 'overdue'), 0))::int as overdue
from projections.action
where build = (select build from shown) and number <= (select position from shown)
    and kind in ('created', 'completed', 'reopened', 'deleted', 'overdue')
group by user_id, wall::date
having sum(delta) > 0;
comment on view analytics.daily is 'What each person did on each day of their own: a row for a person and day with anything.';
comment on column analytics.daily.user_id is 'The person.';
comment on column analytics.daily.day is 'The day where the person lived then.';
comment on column analytics.daily.created is 'To-dos that came to be, those that a recurrence made too.';
comment on column analytics.daily.completed is 'Completions; one that was undone counts, and so does the next.';
comment on column analytics.daily.reopened is 'Completions that were undone.';
comment on column analytics.daily.deleted is 'To-dos that were put away.';
comment on column analytics.daily.overdue is 'Deadlines that passed unmet.';

create view analytics.pattern as
with shown as materialized (select build, position from projections.shown where projection = 'actions')
select
    user_id, extract(isodow from wall)::int as weekday, extract(hour from wall)::int as hour,
    (coalesce(sum(delta) filter (where kind = 'created'), 0))::int as created,
    (coalesce(sum(delta) filter (where kind = 'completed'), 0))::int as completed
from projections.action
where build = (select build from shown) and number <= (select position from shown) and kind in ('created', 'completed')
group by user_id, extract(isodow from wall), extract(hour from wall)
having sum(delta) > 0;
comment on view analytics.pattern is 'When each person works: a row for a weekday and hour with anything.';
comment on column analytics.pattern.user_id is 'The person.';
comment on column analytics.pattern.weekday is 'From 1, Monday, to 7, Sunday, where the person lived then.';
comment on column analytics.pattern.hour is 'From 0 to 23, where the person lived then.';
comment on column analytics.pattern.created is 'To-dos that came to be then.';
comment on column analytics.pattern.completed is 'Completions then.';

create view analytics.cohorts as
with shown as materialized (select build, position from projections.shown where projection = 'actions'),
made as (
    select user_id, todo_id, wall::date as day, min(at) as at
    from projections.action
    where build = (select build from shown) and number <= (select position from shown) and kind = 'created'
    group by user_id, todo_id, wall::date
    having sum(delta) > 0
),
done as (
    select user_id, todo_id, min(at) as at
    from projections.action
    where build = (select build from shown) and number <= (select position from shown) and kind = 'completed'
        and number = event
    group by user_id, todo_id
)
select
    m.user_id, m.day, count(*)::int as created,
    count(*) filter (where d.at - m.at <= interval '1 day')::int as completed_1d,
    count(*) filter (where d.at - m.at <= interval '7 days')::int as completed_7d,
    count(*) filter (where d.at - m.at <= interval '30 days')::int as completed_30d,
    count(d.at)::int as completed,
    (percentile_disc(0.5) within group (order by extract(epoch from d.at - m.at)))::float8 as median_seconds
from made m left join done d using (user_id, todo_id)
group by m.user_id, m.day;
comment on view analytics.cohorts is
    'What became of the to-dos that a person made on a day of their own. A day younger than 30 is not over for completed_30d.';
comment on column analytics.cohorts.user_id is 'The person.';
comment on column analytics.cohorts.day is 'The day on which the to-dos came to be, where the person lived then.';
comment on column analytics.cohorts.created is 'How many.';
comment on column analytics.cohorts.completed_1d is 'How many of them were completed, the first time, within 24 hours.';
comment on column analytics.cohorts.completed_7d is 'The same, within 7 times 24 hours.';
comment on column analytics.cohorts.completed_30d is 'The same, within 30 times 24 hours.';
comment on column analytics.cohorts.completed is 'The same, ever; undone or not.';
comment on column analytics.cohorts.median_seconds is
    'Half of these were first completed within so many seconds; null where none was.';

create view analytics.active as
with shown as materialized (select build, position from projections.shown where projection = 'actions'),
days as (
    select user_id, wall::date as day
    from projections.action
    where build = (select build from shown) and number <= (select position from shown)
        and kind in ('created', 'completed', 'reopened', 'edited', 'deleted', 'restored')
    group by user_id, wall::date
    having sum(delta) > 0
)
select p.period, date_trunc(p.period, d.day)::date as first_day, count(distinct d.user_id)::int as people
from days d cross join (values ('day'), ('week'), ('month')) as p (period)
group by p.period, date_trunc(p.period, d.day);
comment on view analytics.active is 'How many people did something to their to-dos, in each day, week and month with anybody.';
comment on column analytics.active.period is '`day`, `week` (from Monday) or `month`.';
comment on column analytics.active.first_day is 'Its first day, in each person''s own calendar.';
comment on column analytics.active.people is 'How many.';

create view analytics.retention as
with shown as materialized (select build, position from projections.shown where projection = 'actions'),
weeks as (
    select user_id, kind = 'registered' as is_first, date_trunc('week', wall)::date as week
    from projections.action
    where build = (select build from shown) and number <= (select position from shown)
        and kind in ('registered', 'created', 'completed', 'reopened', 'edited', 'deleted', 'restored')
    group by user_id, kind = 'registered', date_trunc('week', wall)
    having sum(delta) > 0
),
people as (select user_id, week from weeks where is_first)
select
    p.week as cohort, (w.week - p.week) / 7 as weeks_after,
    (select count(*) from people c where c.week = p.week)::int as registered,
    count(*)::int as active
from people p join weeks w on w.user_id = p.user_id and not w.is_first and w.week >= p.week
group by p.week, (w.week - p.week) / 7;
comment on view analytics.retention is 'Of the people who registered in a week, how many did something so many weeks after.';
comment on column analytics.retention.cohort is 'The Monday of the week in which they registered, where they lived then.';
comment on column analytics.retention.weeks_after is '0 is that week.';
comment on column analytics.retention.registered is 'How many registered in it.';
comment on column analytics.retention.active is 'How many of them did something to their to-dos in the week so many after.';

grant usage on schema analytics to :role;
grant select on all tables in schema analytics to :role;
