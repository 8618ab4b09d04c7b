-- DuckDB: of those who registered in a week, how many did something in it and in the weeks after.
with weeks as (select person, what, wall::date - (isodow(wall) - 1)::int as week from doings),
joined as (select person, week as cohort from weeks where what = 'registered'),
cohorts as (select cohort, count(*) as registered from joined group by cohort)
select
    cohort, ((week - cohort) // 7)::int as weeks_after, any_value(registered)::int as registered,
    count(distinct person)::int as active
from joined join weeks using (person) join cohorts using (cohort)
where week >= cohort and what in ('created', 'completed', 'reopened', 'edited', 'deleted', 'restored')
group by all
