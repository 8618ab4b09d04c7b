-- Gives one back to each allowance. Rows are locked in the order of keys, as by take.
with held as (select key from allowance where key = any ($1::bytea[]) order by key for update)
update allowance a set free_at = a.free_at - r.step
from held join unnest($1::bytea[], $2::interval[]) as r (key, step) using (key)
where a.key = held.key
