-- $1 people who each made a to-do on each of $2 days of 2027: rows of figures, without events.
insert into projections.action (build, number, event, user_id, todo_id, kind, at, wall, delta)
select
    b.id, 1, 0, md5('person ' || who)::uuid, md5('todo ' || who || ' ' || day)::uuid, 'created',
    at, at at time zone 'Asia/Seoul', 1
from projections.build b, generate_series(1, $1::int) as who, generate_series(0, $2::int - 1) as day,
    lateral (select timestamptz '2027-01-01T03:00Z' + make_interval(days => day)) as moment (at)
where b.projection = 'actions' and b.state = 'live'
