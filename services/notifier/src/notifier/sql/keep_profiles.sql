-- What people changed in their profiles, one a row of the arrays, at most one a person; a flag says whether its value is
-- there. Their rows are there already.
update preference p set
    timezone = case when n.timezones then n.timezone else p.timezone end,
    quiet_from = case when n.quiet_froms then n.quiet_from else p.quiet_from end,
    quiet_to = case when n.quiet_tos then n.quiet_to else p.quiet_to end
from unnest($1::uuid[], $2::boolean[], $3::text[], $4::boolean[], $5::text[], $6::boolean[], $7::text[]) as n (
    user_id, timezones, timezone, quiet_froms, quiet_from, quiet_tos, quiet_to
)
where p.user_id = n.user_id
