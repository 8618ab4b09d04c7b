"""Migrations: each once, in order, whole or not at all; two runs at once wait for each other."""

import asyncio
import importlib
import sys
from pathlib import Path

import asyncpg
import pytest
from feeding import connection

from events.catalog.feeds import FEEDS
from events.migrate import migrate
from local.fixtures import Database, DatabaseFactory, until


@pytest.fixture
def bare(database: DatabaseFactory) -> Database:
    """A database without any migration."""
    return database("events", migrated=False)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations folder of a service named `shop`."""
    folder = tmp_path / "shop" / "sql" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").touch()
    (folder / "0002_fill.sql").write_text("insert into item values (1);")
    (folder / "0001_item.sql").write_text("create table item (id int); grant select on item to :role;")
    (folder / "notes.txt").write_text("not a migration")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    return folder


async def run(database: Database, service: str = "events", *, feeds: tuple[str, ...] = ("TODOS",)) -> list[str]:
    async with connection(database.owner_url) as owner:
        return await migrate(owner, service, role="events", feeds=[FEEDS[name] for name in feeds])


async def test_the_library_comes_first_and_the_service_in_the_order_of_its_names(bare: Database, shop: Path) -> None:
    applied = await run(bare, "shop")
    assert applied[0] == "events/0001_log.sql"
    assert applied[-2:] == ["shop/0001_item.sql", "shop/0002_fill.sql"]
    assert applied == sorted(applied)


async def test_migrating_twice_is_migrating_once(bare: Database, shop: Path) -> None:
    await run(bare, "shop")
    assert await run(bare, "shop") == []
    async with connection(bare.url) as runtime:
        assert await runtime.fetchval("select count(*) from item") == 1
        assert await runtime.fetchval("select last_seq from events.feed where name = 'TODOS'") == 0


async def test_a_new_file_is_applied_alone(bare: Database, shop: Path) -> None:
    await run(bare, "shop")
    (shop / "0003_more.sql").write_text("insert into item values (2);")
    assert await run(bare, "shop") == ["shop/0003_more.sql"]


async def test_a_feed_keeps_its_number_when_migrations_run_again(bare: Database) -> None:
    await run(bare)
    async with connection(bare.owner_url) as owner:
        await owner.execute("update events.feed set last_seq = 7 where name = 'TODOS'")
    await run(bare, feeds=("TODOS", "OTP"))
    async with connection(bare.url) as runtime:
        assert dict(await runtime.fetch("select name, last_seq from events.feed")) == {"TODOS": 7, "OTP": 0}


async def test_a_database_from_before_learns_which_feed_may_be_trimmed(bare: Database) -> None:
    await run(bare, feeds=("TODOS", "OTP"))
    async with connection(bare.owner_url) as owner:
        await owner.execute("update events.feed set trimmed = not trimmed")
        await run(bare, feeds=("TODOS", "OTP"))
        assert dict(await owner.fetch("select name, trimmed from events.feed")) == {"TODOS": False, "OTP": True}


async def test_a_migration_that_fails_leaves_nothing_and_goes_through_once_mended(bare: Database, shop: Path) -> None:
    (shop / "0002_fill.sql").write_text("create table half (id int); insert into nothing values (1);")
    with pytest.raises(asyncpg.UndefinedTableError):
        await run(bare, "shop")
    async with connection(bare.owner_url) as owner:
        assert await owner.fetchval("select to_regclass('half')") is None
    (shop / "0002_fill.sql").write_text("create table half (id int);")
    assert await run(bare, "shop") == ["shop/0002_fill.sql"]


async def test_a_migration_that_cannot_be_recorded_leaves_nothing(bare: Database, shop: Path) -> None:
    recorded = "insert into events.migration (package, name) values ('shop', '0002_fill.sql');"
    (shop / "0002_fill.sql").write_text(f"create table half (id int); {recorded}")
    with pytest.raises(asyncpg.UniqueViolationError):
        await run(bare, "shop")
    async with connection(bare.owner_url) as owner:
        assert await owner.fetchval("select to_regclass('half')") is None


async def test_two_runs_at_once_apply_each_migration_once(bare: Database) -> None:
    applied = await asyncio.gather(run(bare), run(bare))
    assert sorted(map(bool, applied)) == [False, True]


async def test_a_run_waits_for_another_longer_than_its_role_waits_for_a_lock(bare: Database) -> None:
    patience = bare.owner_url + "?lock_timeout=50ms"
    async with connection(bare.admin_url) as other, connection(patience) as second:
        await other.execute("select pg_advisory_lock(hashtext('events.migrate'))")
        waiting = asyncio.create_task(migrate(second, "events", role="events", feeds=()))

        async def has_waited() -> bool:
            query = "select bool_or(clock_timestamp() - waitstart > '0.2 seconds') from pg_locks where not granted"
            return bool(waiting.done() or await other.fetchval(query))

        await until(has_waited)
        assert not waiting.done()
        await other.execute("select pg_advisory_unlock(hashtext('events.migrate'))")
        assert await waiting
        assert await second.fetchval("show lock_timeout") == "50ms"


async def test_the_runtime_role_may_not_change_the_history(bare: Database) -> None:
    await run(bare)
    async with connection(bare.url) as runtime:
        for statement in (
            "update events.log set type = 'x'",
            "delete from events.log",
            "insert into events.feed values ('MINE')",
            "update events.feed set last_seq = 0",
            "delete from events.migration",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await runtime.execute(statement)
