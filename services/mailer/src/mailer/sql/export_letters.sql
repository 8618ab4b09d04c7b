-- A page ($2) of a person's letters ($1) after one, oldest first: each as JSON, and its place.
select row_to_json(l)::text, happened_at, id
from (
    select id, kind, state, reason, locale, happened_at, held_until, settled_at, facts from letter
    where subject = $1 and (happened_at, id) > ($3, $4) order by happened_at, id limit $2
) l
order by happened_at, id
