-- Drops an erased person with their open periods; how many.
with gone as (delete from person where user_id = $1 returning 1) select count(*)::int from gone
