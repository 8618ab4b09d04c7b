-- Drops how to reach an erased person; how many.
with gone as (delete from contact where user_id = $1 returning 1) select count(*)::int from gone
