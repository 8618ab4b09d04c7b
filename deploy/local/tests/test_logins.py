"""A password of PostgreSQL is rotated by a second login: docs/operations.md."""

from collections.abc import Iterator
from importlib.resources import files

import asyncpg
import pytest

from events.postgres import is_not_now, open_pool
from local.cluster import Cluster
from local.fixtures import Database, DatabaseFactory

STATEMENTS = files("local").joinpath("sql", "create_login.sql").read_text()
RIGHTS = """
select c.oid::regclass::text as name, kind,
    has_table_privilege($1, c.oid, kind) as is_his, has_table_privilege($2, c.oid, kind) as is_hers
from pg_class c, unnest(array['select', 'insert', 'update', 'delete']) kind
where c.relkind in ('r', 'p', 'v') and c.relnamespace::regnamespace::text in ('public', 'events')
"""
LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")


@pytest.fixture
def todos(database: DatabaseFactory) -> Database:
    return database("todos")


@pytest.fixture
def login(postgres: Cluster, todos: Database) -> Iterator[str]:
    """The URL of a second login."""
    postgres.sql(STATEMENTS, runtime="todos", login="todos_b", password="another")
    yield f"postgres://todos_b:another@{todos.url.rpartition('@')[2]}"
    postgres.sql("drop role todos_b; alter role todos login")


async def test_a_second_login_may_what_the_first_may_under_the_same_limits(todos: Database, login: str) -> None:
    first, second = await asyncpg.connect(todos.url), await asyncpg.connect(login)
    try:
        rights = await first.fetch(RIGHTS, "todos", "todos_b")
        limits = [[await each.fetchval(f"show {name}") for name in LIMITS] for each in (first, second)]
    finally:
        await first.close()
        await second.close()
    assert any(row["is_his"] for row in rights)
    assert [row["name"] for row in rights if row["is_his"] is not row["is_hers"]] == []
    assert limits[0] == limits[1] == ["2s", "5s", "5s", "10s"]


async def test_while_both_log_in_nobody_is_refused_and_then_the_first_is_only_where_it_connects_anew(
    todos: Database, postgres: Cluster, login: str
) -> None:
    async with (
        await open_pool(todos.url, application="old") as old,
        await open_pool(login, application="new") as new,
    ):
        for pool in (old, new):
            assert await pool.fetchval("select count(*) from todo") == 0
        postgres.sql("alter role todos nologin")
        for pool in (old, new):  # a session that is open stays
            assert await pool.fetchval("select count(*) from todo") == 0
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError) as refused:
            await asyncpg.connect(todos.url)
        assert is_not_now(refused.value)  # so a service says 503, and a consumer parks nothing
