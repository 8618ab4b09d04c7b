-- A seal names the archive's numbers up to one and a head: what hash each row leads to, in a chain (docs/adr/0023).
-- What an erased row said is gone; that it said it stays provable by two hashes that are kept of it.
alter table archive add column typed_sha256 bytea;
comment on column archive.typed_sha256 is 'Of an erased row: SHA-256 of its type and data as they were.';

create function archive_link(p_head bytea, p_leaf bytea) returns bytea
language sql immutable strict parallel safe as $$
    select sha256(p_head || p_leaf)
$$;

-- Begins with the first value, a head; each further one, a leaf, is linked to what there is.
create aggregate archive_chain(bytea) (sfunc = archive_link, stype = bytea);

create or replace function erase_archive(p_subject uuid, p_limit int) returns int
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with due as materialized (
        select a.number from archive a join events.erasure e on e.subject = a.subject
        where a.subject = p_subject and a.sha256 is null and a.event_id <> e.event_id and a.type <> 'core.Erased.v1'
        limit p_limit
    ), gone as (
        update archive a set
            type = 'core.Erased.v1', data = '{}', sha256 = sha256(convert_to(a.data::text, 'UTF8')),
            typed_sha256 = sha256(convert_to(a.type || a.data::text, 'UTF8'))
        from due where a.number = due.number
        returning 1
    )
    select count(*)::int from gone
$$;
