-- Brings who wants no letters of which kind to where events $1 to $2 of mailer's log leave it, which it got back: the rows are of
-- a copy. Else a letter that ended in silence, which no event tells, is posted to somebody who wants none. The last word on a kind holds.
with told as materialized (
    select aggregate as id, version, type, data::jsonb as data from events.log
    where feed = 'MAILER' and seq between $1 and $2
        and type in ('mailer.MailUnsubscribed.v1', 'mailer.MailPreferencesChanged.v1')
), last as materialized (
    select distinct on (w.id, w.kind) w.* from (
        select id, version, data ->> 'kind' as kind, false as wanted from told where type = 'mailer.MailUnsubscribed.v1'
        union all
        select t.id, t.version, said.key, said.value::boolean
        from told t cross join lateral jsonb_each(t.data - 'user_id') said
        where t.type = 'mailer.MailPreferencesChanged.v1'
    ) w
    order by w.id, w.kind, w.version desc
)
insert into preference (user_id, version, "off")
select
    l.id, max(l.version),
    array(
        select k.kind collate "C" from (
            select unnest(p."off") as kind from preference p where p.user_id = l.id
            except select s.kind from last s where s.id = l.id
            union all
            select s.kind from last s where s.id = l.id and not s.wanted
        ) k order by 1
    )
from last l
group by l.id
on conflict (user_id) do update set version = excluded.version, "off" = excluded."off"
