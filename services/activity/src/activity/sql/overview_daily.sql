-- What everybody did on each day from a day ($1) on.
select day, sum(created)::bigint as created, sum(completed)::bigint as completed
from analytics.daily where day >= $1 group by day order by day
