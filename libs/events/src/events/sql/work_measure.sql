-- Depth by state of what is not settled, and the age in seconds of the oldest row that has been due: since it was due, or
-- since it was made once it was tried (each retry is due later).
select
    count(*) filter (where state = 'queued') as queued,
    count(*) filter (where state = 'claimed') as claimed,
    count(*) filter (where state = 'sending') as sending,
    coalesce(extract(epoch from clock_timestamp() - least(
        min(created_at) filter (where attempts > 0),
        min(due_at) filter (where due_at <= clock_timestamp())
    )), 0)::float8 as oldest
from {table}
where state in ('queued', 'claimed', 'sending')
