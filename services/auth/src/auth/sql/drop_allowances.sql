-- Drops a batch of allowances that are whole again: no row means the same; how many.
with gone as (
    delete from allowance where key in (
        select key from allowance where free_at < $1::timestamptz - interval '1 minute' limit $2 for update skip locked
    )
    returning 1
)
select count(*) from gone
