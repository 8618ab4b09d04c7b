-- The open periods of some people, held until the transaction ends.
select user_id, period, first_day, since from open_period where user_id = any ($1::uuid[]) for no key update
