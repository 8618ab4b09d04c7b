-- Depth by state of what is not settled, and the age in seconds of the oldest row that has been due: since it was due, or
-- since it was made once it was tried (each retry is due later). Whether a row is due, a claim is dead, one is doubtful, a
-- row is overdue: one question a second instead of five. Asked for as the partial indexes of a work table hold them: settled
-- rows are many more, and so can be those that are held (due at infinity).
with due as (
    select state, created_at, attempts, due_at, lease_until, token from {table} where state = 'queued' and due_at < 'infinity'
    union all
    select state, created_at, attempts, due_at, lease_until, token from {table} where state in ('claimed', 'sending')
)
select
    (select count(*) from {table} where state = 'queued') as queued,
    count(*) filter (where state = 'claimed') as claimed,
    count(*) filter (where state = 'sending') as sending,
    coalesce(bool_or(state = 'queued' and due_at <= clock_timestamp()), false) as due,
    coalesce(bool_or(state = 'claimed' and (lease_until < clock_timestamp() or events.is_gone(token))), false) as dead,
    coalesce(bool_or(
        state = 'sending' and lease_until < clock_timestamp() + make_interval(secs => $2::float8 / 2)
        and (lease_until < clock_timestamp() or events.is_gone(token))
    ), false) as doubtful,
    exists (select from {table} where state = 'queued' and expires_at <= $1) as overdue,
    coalesce(extract(epoch from clock_timestamp() - least(
        min(created_at) filter (where attempts > 0),
        min(due_at) filter (where due_at <= clock_timestamp())
    )), 0)::float8 as oldest
from due
