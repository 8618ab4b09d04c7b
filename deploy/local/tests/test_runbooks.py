"""docs/operations.md: what it has an administrator run, and a second login by which a password is rotated."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from textwrap import dedent

import asyncpg
import pytest
from nacl.public import PrivateKey

from events.keys import read_keys
from events.postgres import is_not_now, open_pool
from local.cluster import Cluster, connection_environment, psql_program
from local.fixtures import Database, DatabaseFactory
from local.layout import REPOSITORY

PAGE = (REPOSITORY / "docs" / "operations.md").read_text()
COMMANDS = [dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)]

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


async def test_the_administrators_commands_make_a_database_and_another_login(postgres: Cluster, tmp_path: Path) -> None:
    """As they stand on the page, for a service called `shop`."""
    (tmp_path / "deploy").symlink_to(REPOSITORY / "deploy")
    (tmp_path / "shop.sql").write_text("\\set owner_password 'one'\n\\set runtime_password 'two'\n")
    (tmp_path / "shop_b.sql").write_text("\\set password 'three'\n")
    try:
        for command in (each.replace("todos", "shop") for each in COMMANDS if each.startswith("psql ")):
            said = run(command, tmp_path, connection_environment(postgres.admin_url))
            assert "ERROR" not in said
        server = postgres.admin_url.rpartition("@")[2].partition("/")[0]
        for login in ("shop_owner:one", "shop:two", "shop_b:three"):
            connection = await asyncpg.connect(f"postgres://{login}@{server}/shop")
            await connection.close()
    finally:
        postgres.sql("drop database if exists shop; drop role if exists shop_b, shop, shop_owner")


def test_the_commands_for_keys_make_keys_as_services_read_them(tmp_path: Path) -> None:
    [made] = [run(each, tmp_path, dict(os.environ)).split() for each in COMMANDS if each.startswith("python ")]
    keys = [read_keys(each, size=32) for each in made]
    assert len(keys) == 3
    assert bytes(PrivateKey(keys[1].value).public_key) == keys[2].value


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    programs = f"{psql_program().parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", command],
        cwd=folder,
        env=environment | {"PATH": programs},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
