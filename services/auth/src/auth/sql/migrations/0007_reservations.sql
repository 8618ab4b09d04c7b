-- A reserved id whose first sign-in was cut off lets its address go: nobody registered, so nobody could have it erased.

-- By `registered_at`, which a profile's changes leave alone: an index by version would be written at each of them.
create index account_reserved on account (id) where registered_at is null;

-- The role itself may delete no account. An id tells when it was reserved (UUIDv7).
create function drop_reservations(p_before timestamptz, p_limit int) returns int
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from account where id in (
            select id from account where registered_at is null and uuid_extract_timestamp(id) < p_before
            limit p_limit for update skip locked
        )
        returning 1
    )
    select count(*)::int from gone
$$;
revoke all on function drop_reservations from public;
grant execute on function drop_reservations to :role;
