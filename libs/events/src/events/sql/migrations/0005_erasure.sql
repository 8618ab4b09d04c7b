-- Erasure: what was said about a person loses its data and its type; number, envelope and the hash of what it was stay.
alter table events.log add column sha256 bytea;
create index log_subject on events.log (subject, seq);
create index log_erased on events.log (feed, seq) where sha256 is not null;

-- The people who are erased, for ever: their tombstones. `event_id` is the event that said so, which is itself kept;
-- `erased_at` is when nothing of them was left in this database.
create table events.erasure (
    subject uuid primary key,
    event_id uuid not null,
    heard_at timestamptz not null default clock_timestamp(),
    erased_at timestamptz
);
create index erasure_age on events.erasure (heard_at);
create index erasure_pending on events.erasure (heard_at) where erased_at is null;

-- Messages whose events are erased in the log and that their stream may still hold.
create table events.deletion (
    feed text not null references events.feed,
    seq bigint not null,
    primary key (feed, seq)
);

-- Writes a tombstone. Whoever appends or hears meanwhile commits before it, or sees it: the locks say so. Last in its
-- transaction, as append is.
create function events.forget(p_subject uuid, p_event uuid) returns void
language plpgsql security definer set search_path = pg_catalog, events, pg_temp as $$
begin
    perform pg_advisory_xact_lock(hashtext('events.erasure'));
    perform from events.feed order by name for update;
    insert into events.erasure (subject, event_id) values (p_subject, p_event) on conflict (subject) do nothing;
end
$$;

-- Which of these people are erased. Until the caller's transaction ends, nobody else becomes so.
create function events.erased_among(p_subjects uuid[]) returns setof uuid
language plpgsql security definer set search_path = pg_catalog, events, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('events.erasure'));
    return query select e.subject from events.erasure e where e.subject = any (p_subjects);
end
$$;

-- Erases up to p_limit events about a person with a tombstone, never the event that said so, never in a trimmed feed;
-- their messages are listed for deletion in the same breath. How many.
create function events.erase(p_subject uuid, p_limit int) returns int
language sql security definer set search_path = pg_catalog, events, pg_temp as $$
    with due as materialized (
        select l.feed, l.seq from events.log l
        join events.erasure e on e.subject = l.subject
        join events.feed f on f.name = l.feed
        where l.subject = p_subject and l.sha256 is null and l.id <> e.event_id and not f.trimmed
        order by l.seq limit p_limit
        for update of l
    ), gone as (
        update events.log l set type = 'core.Erased.v1', data = '{}', sha256 = sha256(convert_to(l.data::text, 'UTF8'))
        from due where l.feed = due.feed and l.seq = due.seq
        returning l.feed, l.seq
    ), listed as (
        insert into events.deletion (feed, seq) select feed, seq from gone on conflict do nothing
    )
    select count(*)::int from gone
$$;

-- An event about somebody with a tombstone is erased before anybody can read it, and its answer is not kept: a write
-- that was under way leaves nothing behind. A subquery a row, so that each is one look into the index.
create function events.erase_new() returns trigger
language plpgsql security definer set search_path = pg_catalog, events, pg_temp as $$
begin
    if exists (
        select from born b where (select e.event_id <> b.id from events.erasure e where e.subject = b.subject)
    ) then
        update events.log l set type = 'core.Erased.v1', data = '{}', sha256 = sha256(convert_to(l.data::text, 'UTF8'))
        from born b join events.erasure e on e.subject = b.subject
        join events.feed f on f.name = b.feed
        where l.feed = b.feed and l.seq = b.seq and b.id <> e.event_id and not f.trimmed;
    end if;
    return null;
end
$$;
create trigger erase_new after insert on events.log
referencing new table as born for each statement execute function events.erase_new();

create function events.drop_new_answers() returns trigger
language plpgsql security definer set search_path = pg_catalog, events, pg_temp as $$
begin
    if exists (select from born b where (select true from events.erasure e where e.subject = b.user_id)) then
        delete from events.idempotency i using events.erasure e, born b
        where e.subject = b.user_id and i.user_id = b.user_id;
    end if;
    return null;
end
$$;
create trigger drop_new_answers after insert on events.idempotency
referencing new table as born for each statement execute function events.drop_new_answers();

revoke all on function events.forget, events.erased_among, events.erase, events.erase_new, events.drop_new_answers
from public;
grant execute on function events.forget, events.erased_among, events.erase to :role;
grant select, update (erased_at) on events.erasure to :role;
grant select, delete on events.deletion to :role;
