-- Projections are built from the archive alone, in its order. A build is a projection as one version of its code makes it;
-- the views of `analytics` show the live one. Rows are only added, each with the archive's number that it came by: what a
-- later event corrects is taken back by a row of its own, so every figure can be told as of any number.
create schema projections;
grant usage on schema projections to :role;

create table projections.build (
    id int generated always as identity primary key,
    projection text not null,
    version int not null,
    state text not null check (state in ('building', 'live', 'kept')),
    -- The archive's number up to which events are in.
    position bigint not null default 0,
    made_at timestamptz not null default clock_timestamp(),
    -- One of each: what is shown, what is being built, what was shown before. Checked at the end of a statement: two change
    -- places in one.
    constraint build_state unique (projection, state) deferrable initially immediate
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
grant select, update on projections.build to :role;

-- Which zone a person lives in since when, as known from a number on. `zone` null: the default.
create table projections.zone (
    build int not null,
    user_id uuid not null,
    since timestamptz not null,
    number bigint not null,
    zone text,
    primary key (build, user_id, since, number)
) partition by list (build);

-- What people did: event `event` of the archive, at a moment that was `wall` where they live. `number` is `event`, but for
-- what a later word about the zone moves: a row with `delta` -1 takes back, one with 1 puts anew.
create table projections.action (
    build int not null,
    number bigint not null,
    event bigint not null,
    user_id uuid not null,
    todo_id uuid,
    kind text not null,
    at timestamptz not null,
    wall timestamp not null,
    delta smallint not null
) partition by list (build);
create index action_person on projections.action (user_id, at);
create index action_number on projections.action using brin (number);

grant select, insert, delete on projections.zone, projections.action to :role;

-- The tables of each projection.
create table projections.part (projection text not null, name text not null, primary key (projection, name));
grant select on projections.part to :role;
insert into projections.part values ('actions', 'zone'), ('actions', 'action');

-- Begins a build, its rows in partitions of their own; which it is. Attached, for making a partition waits for all readers.
create function projections.add_build(p_projection text, p_version int, p_state text) returns int
language plpgsql security definer set search_path = pg_catalog, projections, pg_temp as $$
declare
    v_build int;
    v_part text;
begin
    insert into build (projection, version, state) values (p_projection, p_version, p_state) returning id into v_build;
    for v_part in select name from part where projection = p_projection loop
        execute format('create table projections.%I (like projections.%I including all)', v_part || '_' || v_build, v_part);
        execute format(
            'alter table projections.%I attach partition projections.%I for values in (%s)',
            v_part, v_part || '_' || v_build, v_build
        );
    end loop;
    return v_build;
end
$$;

-- Takes away a build that is not live, with its rows. It waits for readers but a moment: new ones wait behind it.
create function projections.drop_build(p_build int) returns void
language plpgsql security definer set search_path = pg_catalog, projections, pg_temp set lock_timeout = '200ms' as $$
declare
    v_part text;
begin
    for v_part in
        select p.name from part p join build b using (projection) where b.id = p_build and b.state <> 'live'
    loop
        execute format('drop table projections.%I', v_part || '_' || p_build);
    end loop;
    delete from build where id = p_build and state <> 'live';
end
$$;
revoke all on function projections.add_build, projections.drop_build from public;
grant execute on function projections.add_build, projections.drop_build to :role;

-- The numbers of the archive follow its times: `heard_at` never goes back.
alter table archive_counter add column heard_at timestamptz not null default '-infinity';
update archive_counter set heard_at = coalesce((select max(heard_at) from archive), '-infinity');
create index archive_heard_at on archive (heard_at, number);

-- What the views show: the live builds, each at its position, or before that where the transaction says `analytics.as_of`.
create view projections.shown as
select
    id as build, projection, version,
    least(position, nullif(current_setting('analytics.as_of', true), '')::bigint) as position
from projections.build where state = 'live';
grant select on projections.shown to :role;
