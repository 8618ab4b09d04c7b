-- DuckDB: how many people did something in each day, week and month.
with own as (
    select distinct person, wall::date as day from doings
    where what in ('created', 'completed', 'reopened', 'edited', 'deleted', 'restored')
)
select 'day' as period, day as first_day, count(distinct person)::int as people from own group by all
union all
select 'week', (day - (isodow(day) - 1)::int), count(distinct person)::int from own group by all
union all
select 'month', make_date(year(day), month(day), 1), count(distinct person)::int from own group by all
