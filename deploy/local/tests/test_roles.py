"""Who may do what in PostgreSQL: every role of the stack tries every database, and everything in its own."""

import asyncio
from collections.abc import Iterator
from itertools import groupby, product

import asyncpg
import pytest
from whomay import kept, table

from events.catalog.feeds import HEARS
from local.cluster import READERS, Cluster
from local.postgres import temporary
from local.prepare import connected, migrate_database

SERVICES = tuple(HEARS)
ROLES = {service: service for service in SERVICES} | {f"{service}_owner": service for service in SERVICES}
ROLES |= {reader: service for service, reader in READERS.items()}
"""Each role, and the one database that is its own."""
CLIENTS = [role for role in ROLES if not role.endswith("_owner")]
"""Who serves or reads."""

RIGHTS = """
select n.nspname || '.' || c.relname as name,
    array(
        select r || coalesce(' (' || nullif(columns, '') || ')', '')
        from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger', 'maintain']) r,
            lateral (select has_table_privilege($1, c.oid, r) as whole) w,
            lateral (
                select string_agg(a.attname, ', ' order by a.attnum) as columns from pg_attribute a
                where a.attrelid = c.oid and a.attnum > 0 and not w.whole
                    and r = any ('{select,insert,update,references}') and has_column_privilege($1, c.oid, a.attnum, r)
            ) p
        where w.whole or columns <> ''
    ) as rights
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind = any ('{r,p,v,m,f}')
order by 1
"""
OPEN = """
select f.oid::regprocedure::text from pg_proc f
where f.prosecdef and f.prorettype <> 'trigger'::regtype and has_function_privilege($1, f.oid, 'execute') order by 1
"""
OWNED = """
select count(*) from pg_shdepend
where refclassid = 'pg_authid'::regclass and refobjid = $1::text::regrole and deptype = 'o'
"""
BECOMES = "select rolname from pg_roles where rolname <> $1 and pg_has_role($1, oid, 'set') order by 1"
BELONGS = "select rolname from pg_roles where rolname <> $1 and pg_has_role($1, oid, 'member') order by 1"
POWERS = """
select rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls from pg_roles where rolname = $1
"""

FORBIDDEN = (
    "insert into events.log (feed, seq) values ('TODOS', 1)",
    "update events.log set data = null",
    "update events.log set type = 'core.Erased.v1'",
    "delete from events.log",
    "truncate events.log",
    "delete from events.feed",
    "insert into events.erasure (subject) values (gen_random_uuid())",
    "delete from events.erasure",
    "select * from events.migration",
    "select events.erase_new()",
    "create table public.mine (id int)",
    "create table events.mine (id int)",
    "create temporary table mine (id int)",
    "create function public.mine() returns int language sql return 1",
    "create schema mine",
    "drop extension plpgsql",
    "create database mine",
    "create role mine",
    "alter table events.log disable trigger all",
    "alter table events.log owner to {role}",
    "drop table events.log",
    "do $$ begin lock table events.log in exclusive mode; end $$",
    "grant select on events.migration to {role}",
    "grant {own}_owner to {role}",
    "set role {own}_owner",
    "set session authorization {own}_owner",
    "set role postgres",
    "alter role {role} superuser",
    "alter role {own}_owner password 'mine'",
    "alter system set log_statement = 'all'",
    "copy (select 1) to program 'true'",
    "copy events.log to '/tmp/mine'",
    "select pg_read_file('postgresql.conf')",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
)  # fmt: skip
DIRECT = (
    "select * from public.archive",
    "select * from events.log",
    "insert into analytics.daily select * from analytics.daily",
)
"""What a reader would like as well."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Databases and roles as the stack makes them, by the names that they have there."""
    with temporary("roles") as postgres:
        for service in SERVICES:
            postgres.create_database(service)
            asyncio.run(migrate_database(service, postgres.url(service, f"{service}_owner")))
        yield postgres


@pytest.mark.parametrize(("role", "database"), [*product(ROLES, (*SERVICES, "postgres", "template1"))])
async def test_a_role_opens_its_own_database_and_no_other(cluster: Cluster, role: str, database: str) -> None:
    if database == ROLES[role]:
        async with connected(cluster.url(database, role)) as connection:
            assert await connection.fetchval("select current_database()") == database
    else:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            async with connected(cluster.url(database, role)):
                pass


@pytest.mark.parametrize(("role", "statement"), [*product(CLIENTS, FORBIDDEN)])
async def test_who_serves_or_reads_neither_rewrites_the_log_nor_builds(
    cluster: Cluster, role: str, statement: str
) -> None:
    own = ROLES[role]
    async with connected(cluster.url(own, role)) as connection:
        await connection.execute("set default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(role=role, own=own))


@pytest.mark.parametrize(("role", "statement"), [*product(READERS.values(), DIRECT)])
async def test_a_reader_reads_views_alone(cluster: Cluster, role: str, statement: str) -> None:
    async with connected(cluster.url(ROLES[role], role)) as connection:
        await connection.execute("set default_transaction_read_only = off")
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
            await connection.execute(statement)


@pytest.mark.parametrize("role", CLIENTS)
async def test_who_serves_or_reads_owns_nothing_and_becomes_nobody_else(cluster: Cluster, role: str) -> None:
    async with connected(cluster.url(ROLES[role], "postgres")) as connection:
        assert await connection.fetchval(OWNED, role) == 0
        assert await connection.fetch(BECOMES, role) == []
        belongs = [row["rolname"] for row in await connection.fetch(BELONGS, role)]
        assert belongs == ([READERS[role]] if role in READERS else [])  # to see and end a reader's long transaction
        assert await connection.fetchval(POWERS, role) is False


async def test_the_page_says_who_may_do_what_in_postgresql(cluster: Cluster) -> None:
    rights, functions = {}, {}
    for role in CLIENTS:
        async with connected(cluster.url(ROLES[role], "postgres")) as connection:
            found = await connection.fetch(RIGHTS, role)
            functions[role] = {row[0].partition("(")[0].replace('"', "") for row in await connection.fetch(OPEN, role)}
        rights[role] = {(", ".join(row["rights"]), row["name"]) for row in found if row["rights"]}
    every = set.intersection(*(rights[service] for service in SERVICES))
    common = set.intersection(*(functions[service] for service in SERVICES))
    rows = list(lines("every service", every, common))
    for role in CLIENTS:
        rows += lines(f"`{role}`", rights[role] - every, functions[role] - common)
    assert kept("postgresql") == table(("role", "may", "on"), rows)


def lines(who: str, rights: set[tuple[str, str]], functions: set[str]) -> Iterator[tuple[str, str, str]]:
    """The rows of one role: what it may, on which tables and views, and which functions it may call as their owner."""
    for right, found in groupby(sorted(rights), lambda each: each[0]):
        yield who, right, ", ".join(f"`{name.removeprefix('public.')}`" for _, name in found)
    if functions:
        yield who, "call", ", ".join(f"`{name}`" for name in sorted(functions))
