-- Who holds a claim is here for as long as a session of theirs holds a lock: what a killed process held is known as dead at once,
-- not when its lease ends. A token names its holder in its first eight digits, as a UUID of version 8 (RFC 9562: for what a
-- program makes of it); one of version 4 names nobody: then the lease alone counts.

-- A fresh token; of nobody in particular where p_holder is empty.
create function events.token_of(p_holder text) returns uuid
language sql volatile as $$
    select case
        when p_holder = '' then gen_random_uuid()
        else overlay(overlay(gen_random_uuid()::text placing '8' from 15) placing p_holder from 1)::uuid
    end
$$;

-- Says that a holder is here until the session ends.
create function events.be_present(p_holder text) returns void
language sql volatile as $$
    select pg_advisory_lock_shared(hashtext('events.work'), ('x' || p_holder)::bit(32)::int)
$$;

-- Whether a token's holder has gone. One that is stopped, or on a machine that vanished, keeps its session: it has not.
create function events.is_gone(p_token uuid) returns boolean
language sql stable as $$
    select uuid_extract_version(p_token) = 8 and not exists (
        select from pg_locks l
        where l.locktype = 'advisory' and l.objsubid = 2
            and l.database = (select d.oid from pg_database d where d.datname = current_database())
            and l.classid::bigint = hashtext('events.work')::bigint & x'ffffffff'::bigint
            and l.objid::bigint = ('x' || left(p_token::text, 8))::bit(32)::bigint
    )
$$;

grant execute on function events.token_of, events.be_present, events.is_gone to :role;
