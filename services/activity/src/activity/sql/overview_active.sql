-- How many people were active in the days, weeks and months that begin from a day ($1) on; `until`: where the period ends.
select
    period, first_day,
    case period when 'day' then first_day + 1 when 'week' then first_day + 7 else (first_day + interval '1 month')::date end
        as until,
    people
from analytics.active where first_day >= $1 order by period, first_day
