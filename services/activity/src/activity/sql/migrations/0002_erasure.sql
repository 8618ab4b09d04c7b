-- The archive of a person with a tombstone keeps numbers, envelopes and the hash of what it held, and nothing else; their
-- entries go. The archive stays append-only for the runtime role but for this.
alter table archive add column sha256 bytea;
create index archive_subject on archive (subject) where sha256 is null;

create function erase_archive(p_subject uuid, p_limit int) returns int
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with due as materialized (
        select a.feed, a.seq from archive a join events.erasure e on e.subject = a.subject
        where a.subject = p_subject and a.sha256 is null and a.event_id <> e.event_id and a.type <> 'core.Erased.v1'
        limit p_limit
    ), gone as (
        update archive a set type = 'core.Erased.v1', data = '{}', sha256 = sha256(convert_to(a.data::text, 'UTF8'))
        from due where a.feed = due.feed and a.seq = due.seq
        returning 1
    )
    select count(*)::int from gone
$$;

create function erase_entries(p_user uuid, p_limit int) returns int
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from entry where id in (
            select n.id from entry n join events.erasure e on e.subject = n.user_id
            where n.user_id = p_user limit p_limit
        )
        returning 1
    )
    select count(*)::int from gone
$$;
revoke all on function erase_archive, erase_entries from public;
grant execute on function erase_archive, erase_entries to :role;
