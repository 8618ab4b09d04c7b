-- A page ($2) of a person's entries ($1) after one, oldest first: each as JSON, and its place.
select row_to_json(n)::text, at, id
from (
    select id, action, details, at from entry where user_id = $1 and (at, id) > ($3, $4) order by at, id limit $2
) n
order by at, id
