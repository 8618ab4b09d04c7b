-- Adds notifications, one a row of the arrays, each under the next number of its person; one that is already there stays
-- and takes none. The inboxes are locked in one order, so that two feeds never wait for each other.
with new as materialized (
    select n.* from unnest($2::uuid[], $3::uuid[], $4::text[], $5::json[], $6::timestamptz[], $7::boolean[]) with ordinality
        as n (id, user_id, kind, data, at, silent, place)
    where (select k.id from notification k where k.id = n.id) is null
), counted as (
    insert into inbox as i (user_id, last_number)
    select user_id, count(*) from new group by user_id order by user_id
    on conflict (user_id) do update set last_number = i.last_number + excluded.last_number
    returning user_id, last_number
)
insert into notification (user_id, number, id, kind, data, at, silent, heard_at)
select n.user_id,
    c.last_number - count(*) over (partition by n.user_id)
        + row_number() over (partition by n.user_id order by n.place),
    n.id, n.kind, n.data, n.at, n.silent, $1
from new n join counted c on c.user_id = n.user_id
