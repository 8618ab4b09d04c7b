-- Sign-ins, and what is sent to people, as figures; when the stream took an event.
create table projections.sign_in (
    build int not null,
    number bigint not null,
    challenge uuid not null,
    -- Whose event it is, where one is known; erased with them.
    user_id uuid,
    step text not null,
    at timestamptz not null,
    waited_ms int
) partition by list (build);
create index sign_in_challenge on projections.sign_in (challenge);
create index sign_in_person on projections.sign_in (user_id) where user_id is not null;

create table projections.message (
    build int not null,
    number bigint not null,
    user_id uuid,
    channel text not null,
    kind text,
    outcome text not null,
    at timestamptz not null,
    waited_ms int
) partition by list (build);
create index message_person on projections.message (user_id) where user_id is not null;

grant select, insert, delete on projections.sign_in, projections.message to :role;
insert into projections.part values ('sign_ins', 'sign_in'), ('messages', 'message');

create view analytics.sign_ins as
with shown as materialized (select build, position from projections.shown where projection = 'sign_ins'),
steps as (
    select challenge, step, at, waited_ms from projections.sign_in
    where build = (select build from shown) and number <= (select position from shown)
),
challenges as (
    select
        challenge,
        min(at) filter (where step = 'requested') as at,
        bool_or(step = 'mailed') as is_mailed,
        min(waited_ms) filter (where step = 'mailed') as waited_ms,
        bool_or(step = 'verified') as is_verified,
        count(*) filter (where step = 'rejected') as rejections
    from steps group by challenge
)
select
    (at at time zone 'UTC')::date as day,
    count(*)::int as requested,
    count(*) filter (where is_mailed)::int as mailed,
    count(*) filter (where is_verified)::int as verified,
    count(*) filter (where rejections > 0)::int as rejected,
    sum(rejections)::int as rejections,
    percentile_disc(0.5) within group (order by waited_ms) as mail_p50_ms,
    percentile_disc(0.95) within group (order by waited_ms) as mail_p95_ms
from challenges where at is not null
group by (at at time zone 'UTC')::date;
comment on view analytics.sign_ins is
    'What became of the codes that were asked for on a day. A person who was erased is still among `requested` and `mailed`.';
comment on column analytics.sign_ins.day is 'The day in UTC on which the codes were asked for: it is not known where.';
comment on column analytics.sign_ins.requested is 'Codes that were asked for.';
comment on column analytics.sign_ins.mailed is 'Those whose letter the mail server took.';
comment on column analytics.sign_ins.verified is 'Those that were answered rightly.';
comment on column analytics.sign_ins.rejected is 'Those that were answered wrongly at least once.';
comment on column analytics.sign_ins.rejections is 'Wrong answers.';
comment on column analytics.sign_ins.mail_p50_ms is 'Half of the letters were taken within so many milliseconds of being asked for.';
comment on column analytics.sign_ins.mail_p95_ms is 'The same of 95 in 100.';

create view analytics.messages as
with shown as materialized (select build, position from projections.shown where projection = 'messages')
select
    (at at time zone 'UTC')::date as day, channel, coalesce(kind, 'unknown') as kind,
    count(*) filter (where outcome = 'sent')::int as sent,
    count(*) filter (where outcome not in ('sent', 'unknown', 'expired'))::int as failed,
    count(*) filter (where outcome = 'expired')::int as expired,
    count(*) filter (where outcome = 'unknown')::int as unknown,
    percentile_disc(0.5) within group (order by waited_ms) as wait_p50_ms,
    percentile_disc(0.95) within group (order by waited_ms) as wait_p95_ms
from projections.message
where build = (select build from shown) and number <= (select position from shown)
group by (at at time zone 'UTC')::date, channel, coalesce(kind, 'unknown');
comment on view analytics.messages is 'What became of mails, pushes and SMS, by the day in UTC on which that was known.';
comment on column analytics.messages.day is 'The day in UTC.';
comment on column analytics.messages.channel is '`mail`, `push` or `sms`.';
comment on column analytics.messages.kind is 'What was told, `code` among them; `unknown` where the event did not say.';
comment on column analytics.messages.sent is 'Taken by the mail server or provider. A letter that tells several completions is one.';
comment on column analytics.messages.failed is 'Refused for good, or given up.';
comment on column analytics.messages.expired is 'No longer worth sending.';
comment on column analytics.messages.unknown is 'Nobody knows whether they were taken.';
comment on column analytics.messages.wait_p50_ms is 'Half of those sent were taken within so many milliseconds of their event, quiet hours included.';
comment on column analytics.messages.wait_p95_ms is 'The same of 95 in 100.';
grant select on all tables in schema analytics to :role;
