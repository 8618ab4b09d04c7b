-- What inboxes hold after a number each, oldest first, beside where they stand, in one snapshot: what is missing is gone.
with stands as materialized (
    select a.place, a.after, i.user_id, i.last_number,
        (select count(*) from notification u where u.user_id = i.user_id and u.read_at is null) as unread
    from unnest($1::uuid[], $2::bigint[]) with ordinality as a (user_id, after, place)
    cross join lateral (select * from inbox i where i.user_id = a.user_id offset 0) i
)
select s.place, s.last_number, s.unread, n.*
from stands s
left join lateral (
    select id, number, kind, data, silent, at, read_at from notification n
    where n.user_id = s.user_id and n.number > s.after
    order by n.number
    limit $3
) n on true
order by s.place, n.number
