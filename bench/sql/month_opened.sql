-- The months of a month's entries (from $1, for $2 days), which the service would have had by then.
select make_month('entry', 'at', month)
from generate_series(date_trunc('month', $1::timestamp), $1::timestamp + make_interval(days => $2::int), '1 month') month
