-- Nothing of a person with a tombstone stays in `todo`, nor comes into it by a write that was under way.
create function erase_todos(p_user uuid, p_limit int) returns int
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from todo where id in (
            select t.id from todo t join events.erasure e on e.subject = t.user_id
            where t.user_id = p_user limit p_limit
        )
        returning 1
    )
    select count(*)::int from gone
$$;
revoke all on function erase_todos from public;
grant execute on function erase_todos to :role;

create function drop_new_todos() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if exists (select from born b where (select true from events.erasure e where e.subject = b.user_id)) then
        delete from todo t using events.erasure e, born b where e.subject = b.user_id and t.id = b.id;
    end if;
    return null;
end
$$;
create trigger drop_new_todos after insert on todo
referencing new table as born for each statement execute function drop_new_todos();
