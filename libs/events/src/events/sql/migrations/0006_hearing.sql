-- What a consumer heard and when, until it is told of in an event of its service (events.hearings).
create table events.hearing (
    id bigint generated always as identity primary key,
    consumer text not null,
    feed text not null,
    first_seq bigint not null,
    at timestamptz not null,
    waited_ms bigint[] not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

grant select, insert, delete on events.hearing to :role;
