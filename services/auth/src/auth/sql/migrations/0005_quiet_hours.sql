-- When a person is not to be disturbed: times of day in their zone, both or none.
alter table account
    add column quiet_from text,
    add column quiet_to text,
    add constraint account_quiet_hours check ((quiet_from is null) = (quiet_to is null));

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

    update account a set
        version = s.version, name = s.state ->> 'name', locale = s.state ->> 'locale', timezone = s.state ->> 'timezone',
        quiet_from = s.state ->> 'quiet_from', quiet_to = s.state ->> 'quiet_to',
        roles = array(select json_array_elements_text(s.state -> 'roles'))
    from unnest(p_kinds, p_ids, p_versions, p_states) as s (kind, id, version, state)
    where s.kind = 'person' and a.id = s.id;

    insert into session (id, version, user_id, refresh_hash, created_at, refreshed_at, expires_at, device)
    select
        s.id, s.version, (s.state ->> 'user_id')::uuid, decode(s.state ->> 'refresh_hash', 'base64'),
        (s.state ->> 'created_at')::timestamptz, (s.state ->> 'created_at')::timestamptz,
        (s.state ->> 'expires_at')::timestamptz, s.state ->> 'device'
    from unnest(p_kinds, p_ids, p_versions, p_states) as s (kind, id, version, state) where s.kind = 'session';

    update session t set version = s.version, ended_at = (s.state ->> 'ended_at')::timestamptz
    from unnest(p_kinds, p_ids, p_versions, p_states) as s (kind, id, version, state)
    where s.kind = 'session_ended' and t.id = s.id;
end
$$;
