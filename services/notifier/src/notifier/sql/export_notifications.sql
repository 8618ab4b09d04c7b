-- A page ($2) of a person's notifications ($1) after one: each as JSON, and its number.
select row_to_json(n)::text, number
from (
    select number, id, kind, data, silent, at, heard_at, read_at from notification
    where user_id = $1 and number > $3 order by number limit $2
) n
order by number
