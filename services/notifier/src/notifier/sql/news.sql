-- What inboxes hold after a number each, oldest first, beside their last numbers, in one snapshot: what is missing is gone.
select a.place, coalesce(i.last_number, 0) as last_number, n.*
from unnest($1::uuid[], $2::bigint[]) with ordinality as a (user_id, after, place)
left join inbox i on i.user_id = a.user_id
left join lateral (
    select id, number, kind, data, silent, at, read_at from notification n
    where n.user_id = a.user_id and n.number > a.after
    order by n.number
    limit $3
) n on true
order by a.place, n.number
