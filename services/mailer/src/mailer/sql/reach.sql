-- How to reach a person ($1), and whether they want no letters of a kind ($2).
select
    c.sealed_contact, c.name, c.locale, c.timezone, c.quiet_from, c.quiet_to,
    c.suppressed_at is not null as is_suppressed,
    exists (select from preference p where p.user_id = c.user_id and $2 = any (p."off")) as is_unwanted
from contact c where c.user_id = $1
