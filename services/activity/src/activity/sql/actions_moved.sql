-- A word about a zone ($1: build, after number $2 up to $3) that came after what it concerns moves that: taken back where it
-- was, put anew where it is.
insert into projections.action (build, number, event, user_id, todo_id, kind, at, wall, delta)
select $1, z.number, a.event, a.user_id, a.todo_id, a.kind, a.at, moved.wall, moved.delta
from projections.zone z
cross join lateral (
    select * from projections.action
    where build = $1 and user_id = z.user_id and at >= z.since and number < z.number and number = event
    offset 0  -- planned for itself, by the index: without statistics all actions would be read for each word
) a
cross join lateral (
    select
        a.at at time zone coalesce((
            select y.zone from projections.zone y
            where y.build = $1 and y.user_id = a.user_id and y.since <= a.at and y.number < z.number
            order by y.since desc, y.number desc limit 1
        ), 'Asia/Seoul') as before,
        a.at at time zone coalesce((
            select y.zone from projections.zone y
            where y.build = $1 and y.user_id = a.user_id and y.since <= a.at and y.number <= z.number
            order by y.since desc, y.number desc limit 1
        ), 'Asia/Seoul') as after
) walls
cross join lateral (values (walls.before, -1), (walls.after, 1)) as moved (wall, delta)
where z.build = $1 and z.number > $2 and z.number <= $3 and walls.before <> walls.after
