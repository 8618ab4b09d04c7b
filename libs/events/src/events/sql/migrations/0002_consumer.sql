-- Where each consumer stands in each feed it hears, and which instance is active.
create table events.checkpoint (
    consumer text not null,
    feed text not null,
    seq bigint not null default 0,
    event_id uuid,
    primary key (consumer, feed)
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A lease by the database's clock. The epoch grows at each takeover and names the server-side pull consumer.
create table events.lease (
    name text primary key,
    holder uuid not null,
    epoch bigint not null default 1,
    expires_at timestamptz not null
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

grant select, insert, update on events.checkpoint, events.lease to :role;
grant delete on events.lease to :role;
