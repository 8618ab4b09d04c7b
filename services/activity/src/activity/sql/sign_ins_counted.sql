-- The steps of sign-ins, as the archive says after a number ($2) up to another ($3), for a build ($1).
insert into projections.sign_in (build, number, challenge, user_id, step, at, waited_ms)
select $1, e.number, e.challenge, case when e.subject <> e.challenge then e.subject end, e.step, e.time, e.waited_ms
from (
    select number, subject, time, subject as challenge, 'requested' as step, null::int as waited_ms
    from archive where number > $2 and number <= $3 and feed = 'OTP' and type = 'auth.OtpRequested.v1'
    union all
    select
        number, subject, time, (data ->> 'challenge_id')::uuid,
        case type when 'auth.OtpVerified.v1' then 'verified' else 'rejected' end, null
    from archive
    where number > $2 and number <= $3 and feed = 'AUTH' and type in ('auth.OtpVerified.v1', 'auth.OtpRejected.v1')
    union all
    select number, subject, time, subject, 'mailed', (data ->> 'waited_ms')::int
    from archive
    where number > $2 and number <= $3 and feed = 'MAILER' and type = 'mailer.MailSent.v1' and data ->> 'kind' = 'code'
) e
where not exists (select from events.erasure g where g.subject = e.subject)
