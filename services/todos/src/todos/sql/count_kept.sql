-- How many to-dos each of some people has, counted up to a number.
select p.user_id, kept.count
from unnest($1::uuid[]) as p (user_id)
cross join lateral (
    select count(*) from (select from todo where user_id = p.user_id and not deleted limit $2) t
) as kept (count)
