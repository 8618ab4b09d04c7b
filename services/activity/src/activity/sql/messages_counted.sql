-- What became of mails, pushes and SMS, as the archive says after a number ($2) up to another ($3), for a build ($1). The
-- letter of a code is nobody's: its subject is a challenge.
insert into projections.message (build, number, user_id, channel, kind, outcome, at, waited_ms)
select
    $1, e.number, case when e.data ->> 'kind' is distinct from 'code' then e.subject end,
    coalesce(e.data ->> 'channel', 'mail'), e.data ->> 'kind',
    coalesce(e.data ->> 'reason', 'sent'), e.time, (e.data ->> 'waited_ms')::int
from archive e
where e.number > $2 and e.number <= $3 and e.feed in ('MAILER', 'NOTIFIER') and e.type in (
        'mailer.MailSent.v1', 'mailer.MailFailed.v1', 'notifier.NotificationDelivered.v1', 'notifier.NotificationFailed.v1'
    )
    and not exists (select from events.erasure g where g.subject = e.subject)
