-- Of the people who registered in a week, from the week of a day ($1) on, how many came back; weeks that are not over by a day ($2),
-- anywhere, are not told.
select cohort, weeks_after, registered, active
from analytics.retention
where cohort >= date_trunc('week', $1::timestamp)::date and cohort + 7 * (weeks_after + 1) < $2::date
order by cohort, weeks_after
