-- Ends letters as events $1 to $2 of mailer's log tell, which it got back: the rows are of a copy, and would be posted again.
-- An event tells of its own letter, and of the other completions in it. What else was a part of such a letter in the copy
-- was told by none, and is held anew, as in mailer's expire_stale.sql. `offset 0`, `any (array(...))`: by index, always.
with told as materialized (
    select
        aggregate as id, subject, time, data ->> 'reason' as reason, data::jsonb -> 'others' as others,
        case
            when type = 'mailer.MailSent.v1' then 'sent'
            when data ->> 'reason' in ('expired', 'unknown') then data ->> 'reason'
            else 'failed'
        end as state
    from events.log
    where feed = 'MAILER' and seq between $1 and $2 and type in ('mailer.MailSent.v1', 'mailer.MailFailed.v1')
), ended as materialized (
    select l.id, l.expires_at, t.state, t.reason, t.time
    from told t cross join lateral (
        select id, expires_at from letter where id = t.id and settled_at is null offset 0
    ) l
    union all
    select l.id, l.expires_at, t.state, 'told in another', t.time
    from told t cross join lateral (
        select id, expires_at from letter
        where subject = t.subject and kind = 'completion' and settled_at is null and t.others ? cause::text offset 0
    ) l
    where t.others <> '[]'
), freed as (
    update letter p set part_of = null, held_until = e.time, expires_at = e.expires_at
    from ended e
    where p.part_of = any (array(select id from ended)) and p.part_of = e.id
        and p.settled_at is null and p.expires_at is null and p.id not in (select id from ended)
)
update letter l
set state = e.state, reason = e.reason, settled_at = e.time, token = null, lease_until = null, held_until = null,
    sealed = null, facts = null
from ended e
where l.id = any (array(select id from ended)) and l.id = e.id
