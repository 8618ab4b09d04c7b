-- The log of every feed of this service, its counter, and the answers kept for Idempotency-Keys.
create schema if not exists events;
grant usage on schema events to :role;

-- One row a feed. Its lock is what makes numbers gapless and commit order the order of numbers.
create table events.feed (
    name text primary key,
    last_seq bigint not null default 0
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table events.log (
    feed text not null references events.feed,
    seq bigint not null,
    id uuid not null unique,
    command_id uuid not null,
    aggregate uuid not null,
    version bigint not null,
    type text not null,
    subject uuid not null,
    time timestamptz not null,
    correlation_id text not null,
    causation_id text not null,
    actor text not null,
    traceparent text not null,
    -- json, not jsonb: stored, published and hashed as the bytes that were written.
    data json not null,
    appended_at timestamptz not null default clock_timestamp(),
    primary key (feed, seq),
    unique (feed, aggregate, version),
    -- The cast refuses what no text column could hold later (U+0000).
    check (data::jsonb is not null),
    -- What no message can carry would hold up its feed for ever: headers are visible ASCII (a line break would begin
    -- another header), the whole stays far below NATS' limit of 1 MiB.
    check (type || correlation_id || causation_id || actor || traceparent ~ '^[!-~]+$'),
    check (octet_length(type || correlation_id || causation_id || actor || traceparent) <= 1024),
    check (octet_length(data::text) <= 262144)
);

create table events.idempotency (
    user_id uuid not null,
    route text not null,
    key text not null,
    body_hash bytea not null,
    answer bytea not null,
    position bigint not null,
    expires_at timestamptz not null,
    primary key (user_id, route, key)
);
create index on events.idempotency (expires_at);

-- The service replaces this: it writes the current-state rows of a group of commands, in the append's transaction.
create function events.write_states(p_kinds text[], p_ids uuid[], p_versions bigint[], p_states json[]) returns void
language sql as '';

-- Appends a group of commands to one feed: each wholly or not at all, in order, with gapless numbers.
-- c_*: one element a command (c_size: its number of events; c_user null: no Idempotency-Key).
-- e_*: one element an event, in the order of their commands (e_command: 1-based). s_*: one a state row.
-- Outcomes: appended; stored (the command's id is already there); replayed (its key is known, with the answer);
-- key_reused (the same key came with another body); stale (a version was not the expected one).
create function events.append(
    p_feed text,
    c_id uuid[], c_size int[], c_time timestamptz[], c_correlation text[], c_causation text[], c_actor text[],
    c_traceparent text[],
    c_user uuid[], c_route text[], c_key text[], c_hash bytea[], c_answer bytea[], c_expires timestamptz[],
    e_command int[], e_id uuid[], e_aggregate uuid[], e_version bigint[], e_type text[], e_subject uuid[], e_data json[],
    s_command int[], s_kind text[], s_id uuid[], s_version bigint[], s_state json[]
) returns table (outcome text, "position" bigint, answer bytea)
language plpgsql security definer set search_path = pg_catalog, events, pg_temp as $$
#variable_conflict use_column
declare
    v_last bigint;
    v_outcome text[];
    v_position bigint[];
    v_answer bytea[];
    v_count bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'append needs READ COMMITTED' using errcode = 'object_not_in_prerequisite_state';
    end if;
    if current_setting('synchronous_commit') not in ('on', 'remote_apply') then
        raise exception 'append needs synchronous_commit = on' using errcode = 'object_not_in_prerequisite_state';
    end if;

    -- In a statement of its own: what follows sees all that earlier holders committed.
    select last_seq into v_last from events.feed where name = p_feed for update;
    if not found then
        raise exception 'feed % does not exist', p_feed using errcode = 'undefined_object';
    end if;

    with command as (
        select * from unnest(c_id, c_user, c_route, c_key, c_hash) with ordinality as c (id, user_id, route, key, hash, nr)
    ), head as (
        select command, aggregate, min(version) - 1 as expected
        from unnest(e_command, e_aggregate, e_version) as e (command, aggregate, version)
        group by command, aggregate
    ), stale as (
        select distinct h.command from head h
        where h.expected <> coalesce((
            select l.version from events.log l
            where l.feed = p_feed and l.aggregate = h.aggregate order by l.version desc limit 1
        ), 0)
    ), verdict as (
        select
            c.nr,
            case
                when l.seq is not null then 'stored'
                when i.key is not null and i.body_hash <> c.hash then 'key_reused'
                when i.key is not null then 'replayed'
                when exists (select from stale s where s.command = c.nr) then 'stale'
                else 'appended'
            end as outcome,
            coalesce(l.seq + c_size[c.nr] - 1, i.position) as position,
            i.answer
        from command c
        left join lateral (
            select l.seq from events.log l where l.id = c.id and l.command_id = c.id limit 1
        ) l on true
        left join lateral (
            select i.key, i.body_hash, i.answer, i.position from events.idempotency i
            where i.user_id = c.user_id and i.route = c.route and i.key = c.key and i.expires_at > clock_timestamp() limit 1
        ) i on true
    )
    select
        array_agg(v.outcome order by v.nr),
        array_agg(
            case when v.outcome = 'appended' then v.before else v.position end order by v.nr
        ),
        array_agg(v.answer order by v.nr)
    into v_outcome, v_position, v_answer
    from (
        select
            verdict.*,
            v_last + sum(case when verdict.outcome = 'appended' then c_size[verdict.nr] else 0 end)
                over (order by verdict.nr) as before
        from verdict
    ) v;

    insert into events.log (
        feed, seq, id, command_id, aggregate, version, type, subject, time,
        correlation_id, causation_id, actor, traceparent, data
    )
    select
        p_feed, v_last + row_number() over (order by e.nr), e.id, c_id[e.command], e.aggregate, e.version, e.type, e.subject,
        c_time[e.command], c_correlation[e.command], c_causation[e.command], c_actor[e.command], c_traceparent[e.command],
        e.data
    from unnest(e_command, e_id, e_aggregate, e_version, e_type, e_subject, e_data) with ordinality
        as e (command, id, aggregate, version, type, subject, data, nr)
    where v_outcome[e.command] = 'appended'
    order by e.nr;
    get diagnostics v_count = row_count;

    insert into events.idempotency as known (user_id, route, key, body_hash, answer, position, expires_at)
    select c.user_id, c.route, c.key, c.hash, c.answer, v_position[c.nr], c.expires
    from unnest(c_user, c_route, c_key, c_hash, c_answer, c_expires) with ordinality
        as c (user_id, route, key, hash, answer, expires, nr)
    where c.user_id is not null and v_outcome[c.nr] = 'appended'
    on conflict (user_id, route, key) do update
    set body_hash = excluded.body_hash, answer = excluded.answer,
        position = excluded.position, expires_at = excluded.expires_at;

    perform events.write_states(s.kinds, s.ids, s.versions, s.states)
    from (
        select array_agg(kind) as kinds, array_agg(id) as ids, array_agg(version) as versions, array_agg(state) as states
        from unnest(s_command, s_kind, s_id, s_version, s_state) as s (command, kind, id, version, state)
        where v_outcome[s.command] = 'appended'
    ) s
    where s.ids is not null;

    if v_count > 0 then
        update events.feed set last_seq = v_last + v_count where name = p_feed;
    end if;

    return query
    select r.outcome, r.position, r.answer
    from unnest(v_outcome, v_position, v_answer) with ordinality as r (outcome, position, answer, nr)
    order by r.nr;
end
$$;

-- Drops the rows of a feed before a number, never the last one: for short-lived feeds, whose streams may lose them too.
create function events.trim(p_feed text, p_before timestamptz, p_limit int) returns bigint
language sql security definer set search_path = pg_catalog, events, pg_temp as $$
    with old as (
        select l.seq from events.log l join events.feed f on f.name = l.feed
        where l.feed = p_feed and l.appended_at < p_before and l.seq < f.last_seq
        order by l.seq limit p_limit
    ), gone as (
        delete from events.log l using old where l.feed = p_feed and l.seq = old.seq returning 1
    )
    select count(*) from gone
$$;

-- A redefinition by the service keeps the owner, so these grants stand.
revoke all on function events.append from public;
revoke all on function events.trim from public;
grant execute on function events.append, events.trim to :role;
grant select on events.feed, events.log, events.idempotency to :role;
grant delete on events.idempotency to :role;
