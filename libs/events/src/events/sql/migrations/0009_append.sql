-- Appending with fewer plans to start: what is in no group (a retry, a key, a version that moved) is looked for at a
-- glance, numbers are counted instead of sorted. The signature is the first one's, so that an older program appends too.

-- Every append holds the feed's row: a check of it for each event found nothing that the lock has not found.
-- In the order of an append, which could else hold what this waits for, and wait for what this holds.
lock table events.feed, events.log in access exclusive mode;
alter table events.log drop constraint log_feed_fkey;

-- Appends a group of commands to one feed: each wholly or not at all, in order, with gapless numbers.
-- Parameters and outcomes: 0001_log.sql.
create or replace function events.append(
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
    v_next bigint;
    v_given bigint := 0;
    v_shift bigint[];
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

    -- Most groups hold nothing that is there already: then one look tells all, for what is there has taken its versions.
    if array_remove(c_key, null) = '{}' and not exists (
        select from unnest(e_aggregate, e_version) as e (aggregate, version)
        where e.version <> 1 + coalesce((
            select l.version from events.log l
            where l.feed = p_feed and l.aggregate = e.aggregate order by l.version desc limit 1
        ), 0)
    )
    then
        v_outcome := array_fill('appended'::text, array[cardinality(c_id)]);
        v_position := array_fill(null::bigint, array[cardinality(c_id)]);
        v_answer := array_fill(null::bytea, array[cardinality(c_id)]);
    else
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
        select array_agg(outcome order by nr), array_agg(position order by nr), array_agg(answer order by nr)
        into v_outcome, v_position, v_answer
        from verdict;
    end if;

    -- Numbers without a hole: an event's is its place in the group, less those that are not appended before it.
    v_next := v_last;
    v_shift := array_fill(null::bigint, array[cardinality(c_id)]);
    for v_nr in 1 .. cardinality(c_id) loop
        v_shift[v_nr] := v_next - v_given;
        v_given := v_given + c_size[v_nr];
        if v_outcome[v_nr] = 'appended' then
            v_next := v_next + c_size[v_nr];
            v_position[v_nr] := v_next;
        end if;
    end loop;

    insert into events.log (
        feed, seq, id, command_id, aggregate, version, type, subject, time,
        correlation_id, causation_id, actor, traceparent, data
    )
    select
        p_feed, v_shift[e.command] + e.nr, e.id, c_id[e.command], e.aggregate, e.version, e.type, e.subject,
        c_time[e.command], c_correlation[e.command], c_causation[e.command], c_actor[e.command], c_traceparent[e.command],
        e.data
    from unnest(e_command, e_id, e_aggregate, e_version, e_type, e_subject, e_data) with ordinality
        as e (command, id, aggregate, version, type, subject, data, nr)
    where v_outcome[e.command] = 'appended';

    if array_remove(c_key, null) <> '{}' then
        insert into events.idempotency as known (user_id, route, key, body_hash, answer, position, expires_at)
        select c.user_id, c.route, c.key, c.hash, c.answer, v_position[c.nr], c.expires
        from unnest(c_user, c_route, c_key, c_hash, c_answer, c_expires) with ordinality
            as c (user_id, route, key, hash, answer, expires, nr)
        where c.user_id is not null and v_outcome[c.nr] = 'appended'
        on conflict (user_id, route, key) do update
        set body_hash = excluded.body_hash, answer = excluded.answer,
            position = excluded.position, expires_at = excluded.expires_at;
    end if;

    perform events.write_states(s.kinds, s.ids, s.versions, s.states)
    from (
        select array_agg(kind) as kinds, array_agg(id) as ids, array_agg(version) as versions, array_agg(state) as states
        from unnest(s_command, s_kind, s_id, s_version, s_state) as s (command, kind, id, version, state)
        where v_outcome[s.command] = 'appended'
    ) s
    where s.ids is not null;

    if v_next > v_last then
        update events.feed set last_seq = v_next where name = p_feed;
    end if;

    return query
    select r.outcome, r.position, r.answer
    from unnest(v_outcome, v_position, v_answer) with ordinality as r (outcome, position, answer, nr)
    order by r.nr;
end
$$;
