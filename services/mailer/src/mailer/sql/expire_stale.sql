-- Letters of a to-do ($1) and kind ($2) that tell of something before a moment ($3) expire: it is no longer true. What is
-- on its way stays: a letter past its claim may have told its parts. The parts of one that expires are held anew.
with stale as materialized (
    select l.id, l.expires_at, n.at
    from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as n (todo_id, kind, at)
    join letter l on l.todo_id = n.todo_id and l.kind = n.kind and l.happened_at < n.at and l.settled_at is null
    left join letter head on head.id = l.part_of
    where (l.state = 'queued' or l.state = 'claimed' and l.kind <> 'completion')
        and (head.id is null or head.state = 'queued')
    for update of l
), freed as (
    update letter p set part_of = null, held_until = s.at, expires_at = s.expires_at
    from stale s
    where p.part_of = s.id and p.settled_at is null and p.id not in (select id from stale)
)
update letter l set expires_at = least(l.expires_at, s.at) from stale s where l.id = s.id
