-- Brings addresses to where events $1 to $2 of mailer's log leave them, which it got back: the rows are of a copy. Else a letter that
-- ended in silence, which no event tells, is posted to an address that works no more. Of two, the later one holds.
-- A sign-in after its moment lifts it, as ever: `refused_at`. Whoever the copy does not know is heard of anew, and tried.
with told as materialized (
    select distinct on (subject) subject as id, version, time, type = 'mailer.MailSuppressed.v1' as is_suppressed
    from events.log
    where feed = 'MAILER' and seq between $1 and $2
        and type in ('mailer.MailSuppressed.v1', 'mailer.MailResumed.v1')
    order by subject, version desc
)
update contact c set
    refusals = case when t.is_suppressed then greatest(c.refusals, 3) else 0 end,
    refused_at = case when t.is_suppressed then t.time end,
    suppressed_at = case when t.is_suppressed then t.time end,
    address_version = t.version
from told t
where c.user_id = any (array(select id from told)) and c.user_id = t.id
