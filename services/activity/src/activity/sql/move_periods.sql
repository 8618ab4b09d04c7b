-- Puts another open period in the place of one that is closed, or another time at which it is due.
update open_period o set first_day = n.first_day, since = n.since, due_at = n.due_at
from unnest($1::uuid[], $2::text[], $3::date[], $4::timestamptz[], $5::timestamptz[])
    as n (user_id, period, first_day, since, due_at)
where o.user_id = n.user_id and o.period = n.period
