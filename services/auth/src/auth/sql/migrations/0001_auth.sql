-- Challenges, accounts and sessions, written in the transaction of the append, and the counters of guesses and requests.

-- One sign-in code. The code itself is nowhere: code_mac is HMAC-SHA-256 under the pepper of that id.
create table challenge (
    id uuid primary key,
    email text not null,
    code_mac bytea not null,
    pepper text not null,
    expires_at timestamptz not null,
    guesses int not null default 0,
    used_at timestamptz
) with (fillfactor = 50);
create index challenge_expiry on challenge (expires_at);

-- A person; version 0 reserves the id for an address whose first sign-in is being written.
create table account (
    id uuid primary key,
    version bigint not null default 0,
    email text not null unique,
    locale text,
    timezone text,
    -- Granted by operators; travels in access tokens.
    roles text[] not null default '{}',
    registered_at timestamptz
);

-- A session is a family of refresh tokens: each replaces its parent, only the living one's SHA-256 is here.
create table session (
    id uuid primary key,
    version bigint not null,
    user_id uuid not null references account,
    refresh_hash bytea not null,
    generation int not null default 0,
    created_at timestamptz not null,
    refreshed_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz
) with (fillfactor = 70);
create index session_of_user on session (user_id);

-- How often something may be asked for (generic cell rate algorithm): free_at is when the whole allowance is back.
create table allowance (
    key bytea primary key,
    free_at timestamptz not null
) with (fillfactor = 50);
create index allowance_age on allowance (free_at);

-- Wrong guesses in a row for an address (its HMAC), over all its codes.
create table streak (
    key bytea primary key,
    wrong int not null,
    locked_until timestamptz,
    updated_at timestamptz not null
) with (fillfactor = 50);

grant select on challenge, account, session to :role;
grant update (guesses), delete on challenge to :role;
grant insert (id, email) on account to :role;
grant update (refresh_hash, generation, refreshed_at, expires_at) on session to :role;
grant select, insert, update, delete on allowance, streak to :role;

-- Takes one from each allowance, or from none: returns how long to wait, nothing when all were taken.
-- p_steps: time until one comes back; p_bursts: how many may be taken at once. Rows are locked in the order of keys.
create function take(p_keys bytea[], p_steps interval[], p_bursts int[], p_now timestamptz) returns interval
language plpgsql set search_path = public, pg_temp as $$
declare
    v_wait interval;
begin
    insert into allowance (key, free_at)
    select key, p_now from unnest(p_keys) as key order by key
    on conflict (key) do update set free_at = allowance.free_at;

    select max(a.free_at - r.step * (r.burst - 1) - p_now) into v_wait
    from unnest(p_keys, p_steps, p_bursts) as r (key, step, burst) join allowance a on a.key = r.key;
    if v_wait > interval '0' then
        return v_wait;
    end if;

    update allowance a set free_at = greatest(a.free_at, p_now) + r.step
    from unnest(p_keys, p_steps) as r (key, step) where a.key = r.key;
    return interval '0';
end
$$;
revoke all on function take from public;
grant execute on function take to :role;

create or replace function events.write_states(p_kinds text[], p_ids uuid[], p_versions bigint[], p_states json[])
returns void language plpgsql set search_path = public, pg_temp as $$
begin
    insert into challenge (id, email, code_mac, pepper, expires_at)
    select
        s.id, s.state ->> 'email', decode(s.state ->> 'code_mac', 'base64'), s.state ->> 'pepper',
        (s.state ->> 'expires_at')::timestamptz
    from unnest(p_kinds, p_ids, p_states) as s (kind, id, state) where s.kind = 'challenge';

    update challenge c set used_at = (s.state ->> 'used_at')::timestamptz
    from unnest(p_kinds, p_ids, p_states) as s (kind, id, state) where s.kind = 'challenge_used' and c.id = s.id;

    insert into account (id, version, email, registered_at)
    select s.id, s.version, s.state ->> 'email', (s.state ->> 'registered_at')::timestamptz
    from unnest(p_kinds, p_ids, p_versions, p_states) as s (kind, id, version, state) where s.kind = 'account'
    on conflict (id) do update set version = excluded.version, registered_at = excluded.registered_at;

    insert into session (id, version, user_id, refresh_hash, created_at, refreshed_at, expires_at)
    select
        s.id, s.version, (s.state ->> 'user_id')::uuid, decode(s.state ->> 'refresh_hash', 'base64'),
        (s.state ->> 'created_at')::timestamptz, (s.state ->> 'created_at')::timestamptz,
        (s.state ->> 'expires_at')::timestamptz
    from unnest(p_kinds, p_ids, p_versions, p_states) as s (kind, id, version, state) where s.kind = 'session';

    update session t set version = s.version, ended_at = (s.state ->> 'ended_at')::timestamptz
    from unnest(p_kinds, p_ids, p_versions, p_states) as s (kind, id, version, state)
    where s.kind = 'session_ended' and t.id = s.id;
end
$$;
