"""The role `analyst` reads the views of `analytics`, and nothing else anywhere."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import pytest
from history import live
from reporting import Diary, keeping

from activity.metrics import METRICS
from activity.readers import Readers
from local.cluster import Cluster
from local.fixtures import Database, DatabaseFactory, until
from local.postgres import Postgres
from local.prepare import connected

Analyst: TypeAlias = asyncpg.Connection

RELATIONS = """
select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name, c.relkind::text as kind, n.nspname as schema
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'
    and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
"""
ROUTINES = """
select
    quote_ident(n.nspname) || '.' || quote_ident(f.proname) || '(' || array_to_string(array(
        select 'null::' || format_type(argument, null) from unnest(f.proargtypes) as argument
    ), ', ') || ')' as call
from pg_proc f join pg_namespace n on n.oid = f.pronamespace
where n.nspname not in ('pg_catalog', 'information_schema')
"""
WRITABLE = "set default_transaction_read_only = off"
FORBIDDEN = (
    "create table public.mine (id int)",
    "create table analytics.mine (id int)",
    "create temp table mine (id int)",
    "select 1 as id into temp mine",
    "create schema mine",
    "create view analytics.mine as select 1",
    "create function analytics.mine() returns int language sql return 1",
    "create extension pg_trgm schema analytics",
    "drop view analytics.daily",
    "comment on view analytics.daily is 'mine'",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/mine'",
    "create role mine",
    "alter role activity_owner password 'mine'",
    "alter system set work_mem = '1MB'",
    "set role activity",
    "set role activity_owner",
    "set role postgres",
    "set session authorization activity_owner",
    "select pg_read_file('/etc/passwd')",
    "select pg_read_binary_file('postgresql.conf')",
    "select pg_ls_dir('.')",
    "select pg_stat_file('.')",
    "select lo_creat(-1)",
    "select lo_create(0)",
    "select lo_from_bytea(0, 'x')",
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '/tmp/mine')",
    "select pg_advisory_lock(1)",
    "select pg_advisory_xact_lock_shared(hashtext('events.erasure'))",
    "select pg_try_advisory_lock(1)",
    "select pg_logical_emit_message(false, 'mine', 'x')",
    "select pg_reload_conf()",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'activity'",
    "select analytics.admit('analyst')",
)


@pytest.fixture
def activity(database: DatabaseFactory) -> Database:
    return database("activity")


@pytest.fixture
async def diary(activity: Database) -> AsyncIterator[Diary]:
    async with keeping(activity.url) as kept:
        await live(kept)
        yield kept


@pytest.fixture
async def analyst(activity: Database, postgres: Cluster) -> AsyncIterator[Analyst]:
    async with connected(postgres.url(activity.name, "analyst")) as connection:
        yield connection


async def rows(url: str, query: str) -> list[asyncpg.Record]:
    async with connected(url) as connection:
        return await connection.fetch(query)


async def not_refused(analyst: Analyst, statements: Iterable[str]) -> list[str]:
    """The statements that were not refused for want of a right; nor for being about what nobody can change."""
    done = []
    for statement in statements:
        try:
            await analyst.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        except asyncpg.PostgresError as error:
            if not re.match("cannot (insert into|update|delete from) view", str(error)):
                done.append(f"{statement}: {error}")
        else:
            done.append(statement)
    return done


async def test_every_view_of_analytics_is_read(activity: Database, analyst: Analyst, diary: Diary) -> None:
    views = [row["name"] for row in await rows(activity.url, RELATIONS) if row["schema"] == "analytics"]
    assert len(views) == len(METRICS) + 1
    assert [view for view in views if not await analyst.fetch(f"select * from {view}")] == []
    assert await analyst.fetch("select * from analytics.cohorts") == await diary.pool.fetch(
        "select * from analytics.cohorts"
    )


async def test_figures_are_told_as_of_a_position(analyst: Analyst, diary: Diary) -> None:
    end = await analyst.fetchval("select position from analytics.reflected where projection = 'actions'")
    now = await analyst.fetch("select * from analytics.daily")
    await analyst.execute(f"set analytics.as_of = {end - 1}")
    before = await analyst.fetch("select * from analytics.daily")
    assert before != now, "the last word moved two to-dos"
    assert await analyst.fetchval("select max(position) from analytics.reflected") == end - 1
    await analyst.execute("set analytics.as_of = ''")
    assert await analyst.fetch("select * from analytics.daily") == now


async def test_nothing_of_another_schema_is_read_written_or_called(activity: Database, analyst: Analyst) -> None:
    found = await rows(activity.admin_url, RELATIONS)
    others = [row for row in found if row["schema"] != "analytics"]
    assert {"public.archive", "events.log", "projections.shown"} <= {row["name"] for row in others}
    assert {row["kind"] for row in others} >= {"r", "p", "v", "S"}
    calls = [f"select {row['call']}" for row in await rows(activity.admin_url, ROUTINES)]
    assert any("events.append(" in call for call in calls)
    assert any("analytics.admit(" in call for call in calls)
    reads = [f"select * from {row['name']}" for row in others]
    asks = [f"select nextval('{row['name']}')" for row in others if row["kind"] == "S"]
    writes = [
        statement
        for row in found
        if row["kind"] != "S"
        for statement in (f"insert into {row['name']} default values", f"delete from {row['name']}")
    ]
    changes = [f"update {name} set {column} = null" for name, column in await columns(activity)]
    await analyst.execute(WRITABLE)
    assert await not_refused(analyst, [*reads, *asks, *writes, *changes, *calls]) == []


async def columns(activity: Database) -> list[tuple[str, str]]:
    """A column of each relation that has rows."""
    query = """
        select quote_ident(table_schema) || '.' || quote_ident(table_name), quote_ident(min(column_name))
        from information_schema.columns
        where table_schema not in ('pg_catalog', 'information_schema')
        group by table_schema, table_name
    """
    return [(name, column) for name, column in await rows(activity.admin_url, query)]


async def test_of_its_rights_the_catalog_knows_no_other(activity: Database) -> None:
    query = f"""
        select name, kind from ({RELATIONS}) r
        where kind <> 'S' and (
            has_table_privilege('analyst', name, 'select, insert, update, delete, truncate, references, maintain')
            or has_any_column_privilege('analyst', name, 'select, insert, update, references')
        ) or kind = 'S' and has_sequence_privilege('analyst', name, 'usage, select, update')
    """
    assert {row["name"] for row in await rows(activity.admin_url, query)} == {
        "analytics.reflected",
        *(f"analytics.{name}" for name in METRICS),
    }


async def test_what_goes_beyond_reading_is_refused_for_want_of_rights(analyst: Analyst, diary: Diary) -> None:
    assert diary.pool.get_size() > 0, "there is a session to end"
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await analyst.execute(FORBIDDEN[0])
    await analyst.execute(WRITABLE)
    assert await not_refused(analyst, FORBIDDEN) == []


async def test_there_is_no_way_to_another_server(analyst: Analyst) -> None:
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await analyst.execute("select dblink_connect('host=127.0.0.1')")
    assert await analyst.fetch("select * from pg_foreign_server") == []


async def test_no_other_database_lets_it_in(database: DatabaseFactory, postgres: Cluster, activity: Database) -> None:
    database("todos")
    names = [row["datname"] for row in await rows(activity.admin_url, "select datname from pg_database")]
    others = [name for name in names if not name.startswith("activity_")]
    assert {"postgres", "template1"} < set(others)
    for name in others:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
            await asyncpg.connect(postgres.url(name, "analyst"))


async def test_it_is_bounded_in_time_and_number(activity: Database, analyst: Analyst, postgres: Cluster) -> None:
    limits = {
        "default_transaction_read_only": "on",
        "statement_timeout": "1min",
        "transaction_timeout": "2min",
        "idle_in_transaction_session_timeout": "10s",
        "lock_timeout": "2s",
    }
    assert {name: await analyst.fetchval(f"show {name}") for name in limits} == limits
    async with AsyncExitStack() as sessions:
        for _ in range(4):
            await sessions.enter_async_context(connected(postgres.url(activity.name, "analyst")))
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await asyncpg.connect(postgres.url(activity.name, "analyst"))


async def test_a_statement_that_lasts_is_ended(analyst: Analyst) -> None:
    await analyst.execute("set statement_timeout = '200ms'")
    with pytest.raises(asyncpg.QueryCanceledError, match="statement timeout"):
        await analyst.fetch("select count(*) from generate_series(1, 10::numeric ^ 12)")


async def test_a_session_that_lifts_its_limits_is_ended_all_the_same_and_no_other(
    activity: Database, analyst: Analyst, diary: Diary
) -> None:
    lifted = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")
    async with connected(activity.url) as service:
        for each in (service, analyst):
            await each.execute("".join(f"set {limit} = 0;" for limit in lifted) + "begin; select 1")
        assert await Readers(diary.pool).end_overdue() == 0, "there is time"
        await until(Readers(diary.pool, timedelta(milliseconds=200)).end_overdue, within=3)
        await until(analyst.is_closed)
        await service.execute("select 1")


async def test_a_view_that_is_added_later_is_read_too(activity: Database, analyst: Analyst) -> None:
    async with connected(activity.owner_url) as owner:
        await owner.execute("create view analytics.later as select count(*) as events from archive")
    assert await analyst.fetchval("select events from analytics.later") == 0


async def test_a_database_does_without_analysts_and_lets_them_in_later(own_postgres: Postgres) -> None:
    own_postgres.create_database("activity")
    own_postgres.sql("drop owned by analyst; drop role analyst")
    url = own_postgres.url("activity", "activity_owner")
    command = [sys.executable, "-m", "events.admin", "migrate", "activity"]
    migrating = await asyncio.create_subprocess_exec(*command, stderr=PIPE, env=os.environ | {"DATABASE_URL": url})
    _, said = await migrating.communicate()
    assert migrating.returncode == 0
    assert said.decode().startswith('admin: there is no role "analyst"')
    async with connected(url) as owner:
        with pytest.raises(asyncpg.UndefinedObjectError, match='there is no role "analyst"'):
            await owner.execute("select analytics.admit('analyst')")
        own_postgres.create_database("activity")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await rows(own_postgres.url("activity", "analyst"), "select * from analytics.daily")
        await owner.execute("select analytics.admit('analyst')")
    assert await rows(own_postgres.url("activity", "analyst"), "select * from analytics.daily") == []
