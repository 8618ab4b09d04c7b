-- DuckDB: in which hours of the week each person works.
select
    person as user_id, isodow(wall)::int as weekday, hour(wall)::int as hour,
    (count(*) filter (where what = 'created'))::int as created,
    (count(*) filter (where what = 'completed'))::int as completed
from doings where what in ('created', 'completed')
group by all
