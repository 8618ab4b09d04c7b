-- What an operator had done with parked events: who, why, to which, and what came of it so far.
create table events.act (
    id uuid primary key default uuidv7(),
    at timestamptz not null default clock_timestamp(),
    who text not null,
    why text not null,
    consumer text not null,
    what text not null check (what in ('redrive', 'discard')),
    chosen text not null,
    events_max int,
    per_second float8,
    next_at timestamptz not null default '-infinity',
    applied int not null default 0,
    failed int not null default 0,
    discarded int not null default 0
);

-- What could not be applied, and what waits behind it: a key's events in order (a `key` is their subject). The first of a key
-- says why it is here, or that its turn is `next`; all others are `behind` it. `due_at`: when it is tried again; null: not
-- before an operator says so. Only a key's first is ever due.
create table events.parked (
    consumer text not null,
    feed text not null,
    seq bigint not null,
    key uuid not null,
    type text not null,
    headers json not null,
    data bytea not null,
    published_at timestamptz,
    reason text not null check (reason in ('undecodable', 'rejected', 'failed', 'next', 'behind')),
    detail text not null,
    stack text not null,
    attempts int not null,
    due_at timestamptz,
    act uuid references events.act,
    parked_at timestamptz not null default clock_timestamp(),
    primary key (consumer, feed, seq)
);
create index parked_key on events.parked (key, consumer, feed, seq);
create index parked_first on events.parked (consumer, feed, seq) where reason <> 'behind';
create index parked_stuck on events.parked (consumer, feed) where reason <> 'behind' and due_at is null;
create index parked_due on events.parked (consumer, due_at) where act is null and due_at is not null;
create index parked_act on events.parked (act, due_at) where act is not null;

-- Parked events that will never have their effect here, and the act that said so; null: their person was erased, or their feed
-- forgets by age. Their numbers are kept, for whoever proves that nothing is missing.
create table events.discarded (
    consumer text not null,
    feed text not null,
    seq bigint not null,
    key uuid not null,
    type text not null,
    act uuid references events.act,
    primary key (consumer, feed, seq)
);

-- The parked events that an act is about, each the first of its key: what waits behind it follows it. Null: any.
create function events.parked_first(p_consumer text, p_feed text, p_seq bigint, p_key uuid, p_reason text)
returns setof events.parked
language sql stable as $$
    select p.* from events.parked p
    where p.consumer = p_consumer
        and (p_feed is null or p.feed = p_feed)
        and (p_seq is null or p.seq = p_seq)
        and (p_key is null or p.key = p_key)
        and (p_reason is null or p.reason = p_reason)
        and p.reason <> 'behind'
$$;

grant select, insert, update, delete on events.parked to :role;
grant select, insert on events.discarded to :role;
grant select, insert, update on events.act to :role;
