-- How long events took to the stream and to whoever hears them; what came of one request.
create index archive_event on archive (event_id);
create index archive_correlation on archive (correlation_id);
create index archive_causation on archive (causation_id);
-- The letters that tell of several events; `others` are those whose request they do not carry.
create index archive_others on archive using gin ((data::jsonb -> 'others'))
    where type in ('mailer.MailSent.v1', 'mailer.MailFailed.v1');

-- Event `seq` of a feed, appended `at`, reached the stream or a consumer so much later. `number`: of the event that says so.
create table projections.hearing (
    build int not null,
    number bigint not null,
    feed text not null,
    seq bigint not null,
    reached text not null,
    at timestamptz not null,
    waited_ms bigint not null
) partition by list (build);
create index hearing_event on projections.hearing (feed, seq) where reached not in ('stream', 'activity');
grant select, insert, delete on projections.hearing to :role;
insert into projections.part values ('hearing', 'hearing');

create view analytics.pipeline as
with shown as materialized (select build, position from projections.shown where projection = 'hearing')
select
    date_trunc('hour', at, 'UTC') as hour, feed, reached,
    count(*)::int as events,
    percentile_disc(0.5) within group (order by waited_ms) as p50_ms,
    percentile_disc(0.95) within group (order by waited_ms) as p95_ms,
    percentile_disc(0.99) within group (order by waited_ms) as p99_ms
from projections.hearing
where build = (select build from shown) and number <= (select position from shown)
group by date_trunc('hour', at, 'UTC'), feed, reached;
comment on view analytics.pipeline is
    'How long events took from being appended to the stream and to each consumer, by the hour in UTC of being appended.';
comment on column analytics.pipeline.hour is 'The hour in UTC, by its begin.';
comment on column analytics.pipeline.feed is 'The feed that the events are of.';
comment on column analytics.pipeline.reached is '`stream`, or the consumer that took them up.';
comment on column analytics.pipeline.events is 'How many did. One that a consumer heard anew counts anew.';
comment on column analytics.pipeline.p50_ms is 'Half of them within so many milliseconds.';
comment on column analytics.pipeline.p95_ms is 'The same of 95 in 100.';
comment on column analytics.pipeline.p99_ms is 'The same of 99 in 100.';
grant select on analytics.pipeline to :role;
