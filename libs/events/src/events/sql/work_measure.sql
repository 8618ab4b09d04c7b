-- Depth by state of what is not settled, and the age in seconds of the oldest row that is due.
select
    count(*) filter (where state = 'queued') as queued,
    count(*) filter (where state = 'claimed') as claimed,
    count(*) filter (where state = 'sending') as sending,
    coalesce(extract(epoch from clock_timestamp() - min(due_at) filter (where state = 'queued' and due_at <= clock_timestamp())), 0)::float8 as oldest
from {table}
where state in ('queued', 'claimed', 'sending')
