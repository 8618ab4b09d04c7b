-- When everybody works, over all time.
select weekday, hour, sum(created + completed)::bigint as actions
from analytics.pattern group by weekday, hour order by weekday, hour
