-- A person who is erased leaves in the transaction that says so, whatever appends it: account, sessions and challenges go,
-- the address is free at once. The eraser takes the rest of the log.
create index challenge_email on challenge (email);

create function forget_person() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    insert into events.erasure (subject, event_id) values (new.subject, new.id) on conflict (subject) do nothing;
    delete from challenge c using account a where a.id = new.subject and c.email = a.email;
    delete from session where user_id = new.subject;
    delete from account where id = new.subject;
    return null;
end
$$;
create trigger forget_person after insert on events.log
for each row when (new.type = 'auth.UserErased.v1') execute function forget_person();
