-- Depth by state of what is not settled, and the age in seconds of the oldest row that has been due: since it was due, or
-- since it was made once it was tried (each retry is due later). Asked for as the partial indexes of a work table hold
-- them: settled rows are many more, and so can be those that are held (due at infinity).
with due as (
    select state, created_at, attempts, due_at from {table} where state = 'queued' and due_at < 'infinity'
    union all
    select state, created_at, attempts, due_at from {table} where state in ('claimed', 'sending')
)
select
    (select count(*) from {table} where state = 'queued') as queued,
    count(*) filter (where state = 'claimed') as claimed,
    count(*) filter (where state = 'sending') as sending,
    coalesce(extract(epoch from clock_timestamp() - least(
        min(created_at) filter (where attempts > 0),
        min(due_at) filter (where due_at <= clock_timestamp())
    )), 0)::float8 as oldest
from due
