-- Makes due what was held until now ($1), up to $2 at a time; how many letters. What has expired is left to expire.
-- A person's completions are told together, also those that would be held for longer and those that a letter held anew
-- told already. Each hundred makes a letter, the oldest of it: what MailSent names must fit into an event. It lives as
-- long as the last of them. Locked are all, so that none is claimed to be settled meanwhile.
with due as materialized (
    select id, subject, kind from letter
    where held_until <= $1 and state = 'queued' and (expires_at is null or expires_at > $1)
    order by held_until limit $2 for update skip locked
), held as materialized (
    select l.* from (select distinct subject from due where kind = 'completion') d
    cross join lateral (
        select id, subject, happened_at, expires_at from letter
        where subject = d.subject and kind = 'completion' and held_until is not null and state = 'queued'
            and (expires_at is null or expires_at > $1)
        order by happened_at, id limit $2 for update skip locked
    ) l
), told as materialized (
    select p.id, p.subject, p.happened_at, p.expires_at from letter p join held h on p.part_of = h.id
    where p.settled_at is null and p.expires_at is null for update of p skip locked
), counted as (
    select
        id, subject, happened_at,
        (row_number() over (partition by subject order by happened_at, id) - 1) / 100 as hundred,
        max(expires_at) over (partition by subject) as expires_at
    from (select * from held union all select * from told) each
), grouped as (
    select
        id, expires_at, first_value(id) over (partition by subject, hundred order by happened_at, id) as head
    from counted
), gathered as (
    update letter l
    set part_of = nullif(g.head, l.id), held_until = null,
        due_at = case when g.head = l.id then clock_timestamp() else 'infinity' end,
        expires_at = case when g.head = l.id then g.expires_at end
    from grouped g
    where l.id = g.id
    returning g.head = l.id as is_letter
), freed as (
    update letter l set due_at = clock_timestamp(), held_until = null
    where l.id in (select id from due where kind <> 'completion')
    returning true as is_letter
)
select count(*)::int from (select * from gathered union all select * from freed) each where is_letter
