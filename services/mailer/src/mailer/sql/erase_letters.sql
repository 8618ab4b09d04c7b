-- Drops a batch of the letters to an erased person, also one that waits; how many.
with gone as (
    delete from letter where id in (select id from letter where subject = $1 limit $2) returning 1
)
select count(*)::int from gone
