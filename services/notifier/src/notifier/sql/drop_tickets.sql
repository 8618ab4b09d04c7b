-- Drops a batch of tickets that are over; how many.
with gone as (
    delete from ticket where hash in (select hash from ticket where expires_at <= $1 limit $2 for update skip locked)
    returning 1
)
select count(*) from gone
