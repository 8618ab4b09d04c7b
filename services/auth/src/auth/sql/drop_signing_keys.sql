-- Drops a batch of signing keys that are over; how many.
with gone as (
    delete from signing_key where kid in (select kid from signing_key where drop_after < $1::timestamptz limit $2)
    returning 1
)
select count(*) from gone
