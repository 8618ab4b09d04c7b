-- What people changed about themselves, one a row of the arrays; a flag says whether its value is there.
update contact c set
    name = case when n.names then n.name else c.name end,
    locale = case when n.locales then n.locale else c.locale end,
    timezone = case when n.timezones then n.timezone else c.timezone end,
    quiet_from = case when n.quiet_froms then n.quiet_from else c.quiet_from end,
    quiet_to = case when n.quiet_tos then n.quiet_to else c.quiet_to end
from unnest(
    $1::uuid[], $2::boolean[], $3::text[], $4::boolean[], $5::text[], $6::boolean[], $7::text[], $8::boolean[],
    $9::text[], $10::boolean[], $11::text[]
) as n (
    user_id, names, name, locales, locale, timezones, timezone, quiet_froms, quiet_from, quiet_tos, quiet_to
)
where c.user_id = n.user_id
