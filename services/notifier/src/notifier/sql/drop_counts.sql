-- Drops a batch of what counts the codes to numbers, a day after they were asked for; how many.
with gone as (
    delete from number_asked where (number_hash, asked_at) in (
        select number_hash, asked_at from number_asked where asked_at < $1::timestamptz - interval '24 hours'
        limit $2 for update skip locked
    )
    returning 1
)
select count(*) from gone
