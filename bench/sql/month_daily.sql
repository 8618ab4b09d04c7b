-- DuckDB: what each person did on each day of their own.
select
    person as user_id, wall::date as day,
    (count(*) filter (where what = 'created'))::int as created,
    (count(*) filter (where what = 'completed'))::int as completed,
    (count(*) filter (where what = 'reopened'))::int as reopened,
    (count(*) filter (where what = 'deleted'))::int as deleted,
    (count(*) filter (where what = 'overdue'))::int as overdue
from doings where what in ('created', 'completed', 'reopened', 'deleted', 'overdue')
group by all
