-- Which letters a person does not want; no row: every letter is welcome. Written by append, with the event that says so,
-- for nobody with a tombstone: append waits for whoever writes one.
create table preference (
    user_id uuid primary key,
    version bigint not null,
    "off" text[] not null
);
grant select, insert, update, delete on preference to :role;

create or replace function events.write_states(p_kinds text[], p_ids uuid[], p_versions bigint[], p_states json[])
returns void language plpgsql set search_path = public, pg_temp as $$
begin
    insert into preference (user_id, version, "off")
    select s.id, s.version, array(select json_array_elements_text(s.state -> 'off'))
    from unnest(p_kinds, p_ids, p_versions, p_states) as s (kind, id, version, state)
    where s.kind = 'preference' and not exists (select from events.erasure e where e.subject = s.id)
    on conflict (user_id) do update set version = excluded.version, "off" = excluded."off";
end
$$;
