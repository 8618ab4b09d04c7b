-- Makes due what was held until now ($1). Of completions a person's oldest becomes the letter, all others are told in it,
-- also those that would be held for longer. How many are due.
with due as (
    select id, subject, kind from letter where held_until <= $1 and state = 'queued' for update skip locked
), heads as (
    select distinct on (l.subject) l.subject, l.id from letter l
    where l.kind = 'completion' and l.held_until is not null and l.state = 'queued'
        and l.subject in (select subject from due where kind = 'completion')
    order by l.subject, l.happened_at, l.id
), gathered as (
    update letter l
    set part_of = h.id, due_at = 'infinity', expires_at = null, held_until = null
    from heads h
    where l.subject = h.subject and l.id <> h.id
        and l.kind = 'completion' and l.held_until is not null and l.state = 'queued'
), freed as (
    update letter l set due_at = clock_timestamp(), held_until = null
    where l.id in (select id from heads union all select id from due where kind <> 'completion')
    returning 1
)
select count(*)::int from freed
