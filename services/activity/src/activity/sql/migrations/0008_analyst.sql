-- Who reads figures reads the views of `analytics`, and nothing else in this database.

-- Everybody may call a new function: in `public` only who may look up its names. That was everybody.
revoke usage on schema public from public;
grant usage on schema public to :role;

-- Lets a role read the views, for the owner to call. Those too that a later migration adds: it is the owner who adds them,
-- and need not know by which names roles were let in here.
create function analytics.admit(p_role text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from pg_roles where rolname = p_role) then
        raise undefined_object using
            message = format('there is no role "%s"', p_role),
            hint = 'Create it first: services/activity/README.md, Analysts.';
    end if;
    execute format('grant usage on schema analytics to %I', p_role);
    execute format('grant select on all tables in schema analytics to %I', p_role);
    execute format('alter default privileges in schema analytics grant select on tables to %I', p_role);
end
$$;
revoke all on function analytics.admit from public;
comment on function analytics.admit is 'Lets a role read the views of this schema, and those to come.';

-- A database does without analysts, too.
do $$
begin
    if exists (select from pg_roles where rolname = 'analyst') then
        perform analytics.admit('analyst');
    else
        raise warning 'there is no role "analyst" to read the figures; once there is one: select analytics.admit(''analyst'')';
    end if;
end
$$;
