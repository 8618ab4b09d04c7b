-- Brings accounts and sessions to where events $1 to $2 of auth's log leave them, which it got back: the rows are of a copy.
-- Else a session that was ended lives again, a role that was taken back is held again, and nothing of it can be changed any more:
-- each change would be stale. What an event says of a person are columns by their names; of two, the later one holds.
with told as materialized (
    select aggregate as id, version, type, time, data::jsonb as data from events.log
    where feed = 'AUTH' and seq between $1 and $2
        and type in ('auth.UserRegistered.v1', 'auth.ProfileChanged.v1', 'auth.RolesChanged.v1', 'auth.UserSignedOut.v1')
), ended as (
    update session s set version = t.version, ended_at = t.time
    from told t
    where s.id = any (array(select id from told where type = 'auth.UserSignedOut.v1')) and s.id = t.id
), person as materialized (
    select
        t.id, max(t.version) as version, min(t.time) filter (where t.type = 'auth.UserRegistered.v1') as registered_at,
        jsonb_object_agg(said.key, said.value order by t.version) as said
    from told t cross join lateral jsonb_each(t.data) said
    where t.type <> 'auth.UserSignedOut.v1'
    group by t.id
)
update account a
set version = p.version, registered_at = coalesce(p.registered_at, a.registered_at),
    (name, locale, timezone, quiet_from, quiet_to, roles) = (
        select n.name, n.locale, n.timezone, n.quiet_from, n.quiet_to, n.roles from jsonb_populate_record(a, p.said) n
    )
from person p
where a.id = any (array(select id from person)) and a.id = p.id
