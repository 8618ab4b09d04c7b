-- How long the messages of each day waited, by channel and kind, from a day ($1) on.
select day, channel, kind, wait_p50_ms, wait_p95_ms
from analytics.messages where day >= $1 and wait_p50_ms is not null order by day, channel, kind
