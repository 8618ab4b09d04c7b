-- Of the to-dos of each week from a day ($1) on, how many per cent were completed in time; days that are not over by a day ($2)
-- are in no rate.
select
    date_trunc('week', day::timestamp)::date as week, sum(created)::bigint as created,
    (100.0 * sum(completed_1d) filter (where day + 2 <= $2) / sum(created) filter (where day + 2 <= $2))::float8 as day_1,
    (100.0 * sum(completed_7d) filter (where day + 8 <= $2) / sum(created) filter (where day + 8 <= $2))::float8 as days_7,
    (100.0 * sum(completed_30d) filter (where day + 31 <= $2) / sum(created) filter (where day + 31 <= $2))::float8 as days_30
from analytics.cohorts where day >= $1 and day <= $2::date group by 1 order by 1
