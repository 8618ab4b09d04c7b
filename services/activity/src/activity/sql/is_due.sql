-- Whether a period is to be closed.
select exists (select from open_period where due_at <= $1)
