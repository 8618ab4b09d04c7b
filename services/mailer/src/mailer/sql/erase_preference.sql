-- Drops what an erased person chose; how many.
with gone as (delete from preference where user_id = $1 returning 1) select count(*)::int from gone
