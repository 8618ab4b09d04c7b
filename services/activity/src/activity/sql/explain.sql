-- What came of a request ($1), or of the request that an event ($2) came of, about one person ($3) or anybody, up to so many
-- events ($4), in the order heard: with those letters that tell of them beside others. Nothing of the erased.
-- An array, and a limit out of sight: else the archive is walked by its number until so many are found.
with asked as materialized (
    select array(
        select $1::text
        union select correlation_id from archive where causation_id = $1
        union select correlation_id from archive where event_id = $2
    ) as requests
), came as materialized (
    select * from archive a
    where correlation_id = any ((select requests from asked)::text[]) and correlation_id <> ''
        and ($3::uuid is null or subject = $3)
        and not exists (select from events.erasure g where g.subject = a.subject)
), letters as (
    select * from archive a
    where a.type in ('mailer.MailSent.v1', 'mailer.MailFailed.v1')
        and (a.data::jsonb -> 'others') ?| (select array_agg(event_id::text) from came)
        and a.correlation_id <> all ((select requests from asked)::text[])
        and ($3::uuid is null or a.subject = $3)
        and not exists (select from events.erasure g where g.subject = a.subject)
)
select
    a.number, a.event_id as id, a.feed, a.seq, a.type, a.actor, a.correlation_id as request_id, a.causation_id as cause,
    a.time as appended_at, a.published_at, a.heard_at,
    case when a.feed in ('MAILER', 'NOTIFIER') and a.type <> 'core.EventsHeard.v1' then a.data end as data,
    (
        select coalesce(json_agg(json_build_object('reached', h.reached, 'after_ms', h.waited_ms) order by h.waited_ms), '[]')
        from projections.hearing h
        where h.build = (select build from projections.shown where projection = 'hearing')
            and h.feed = a.feed and h.seq = a.seq and h.reached not in ('stream', 'activity')
    ) as others
from (select * from came union all select * from letters) a
order by a.number limit $4
