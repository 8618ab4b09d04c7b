-- Drops an erased person's inbox; how many.
with gone as (delete from inbox where user_id = $1 returning 1) select count(*)::int from gone
