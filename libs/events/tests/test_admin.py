"""What an operator runs by hand: it says what it did, may run again, and names what is in its way."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from time import monotonic

import pytest
from feeding import client, connection, create, log_ids, running, stream_ids

from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.log import Log
from events.postgres import dialer
from events.relay import Relay
from local.fixtures import Database, DatabaseFactory, until
from local.nats import Nats

PYTHONPATH = os.environ.get("PYTHONPATH", "")


async def admin(*arguments: str, **environment: str) -> tuple[int | None, str]:
    """Its exit code and what it printed."""
    clean = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "NATS_URL", "ROLE"}}
    command = [sys.executable, "-m", "events.admin", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=clean | environment)
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, (out + err).decode().strip()


@pytest.fixture
def bare(database: DatabaseFactory) -> Database:
    """A to-do service's database without any migration."""
    return database("todos", migrated=False)


async def test_a_database_is_migrated_once_and_says_what_was_applied(bare: Database) -> None:
    code, printed = await admin("migrate", "todos", DATABASE_URL=bare.owner_url)
    assert (code, printed.splitlines()[0], printed.splitlines()[-1]) == (
        0,
        "events/0001_log.sql",
        "todos/0005_due_in_order.sql",
    )
    assert await admin("migrate", "todos", DATABASE_URL=bare.owner_url) == (0, "nothing to do")
    async with connection(bare.url) as runtime:
        assert await runtime.fetchval("select name from events.feed") == "TODOS"


async def test_a_service_from_elsewhere_is_migrated_like_ours(database: DatabaseFactory, tmp_path: Path) -> None:
    migrations = tmp_path / "shop" / "sql" / "migrations"
    migrations.mkdir(parents=True)
    (migrations / "0001_shop.sql").write_text("create table basket (id int); grant select on basket to :role")
    made = database(migrated=False)
    settings = {"DATABASE_URL": made.owner_url, "ROLE": "events", "PYTHONPATH": f"{tmp_path}:{PYTHONPATH}"}
    code, printed = await admin("migrate", "shop", **settings)
    assert (code, printed.splitlines()[-1]) == (0, "shop/0001_shop.sql")
    async with connection(made.url) as runtime:
        assert await runtime.fetch("select from basket") == []


async def test_a_lost_stream_is_made_again_and_filled_under_the_same_numbers(
    database: DatabaseFactory, nats: Nats
) -> None:
    todos = database("todos")
    urls = {"DATABASE_URL": todos.owner_url, "NATS_URL": nats.url()}
    dial = dialer(todos.url, application="test")
    broker = Broker(nats.url("todos"), name="test")
    relay = Relay(FEEDS["TODOS"], dial, broker)
    log = Log("TODOS", dial, on_appended=relay.wake)
    async with running(broker.run, relay.run, log.run):
        await until(lambda: "events.admin streams" in relay.check().detail)
        assert await admin("streams", "todos", **urls) == (0, "TODOS")
        await asyncio.gather(*(log.append(create()) for _ in range(20)))
        await until(lambda: relay.check().detail == "at 20")
        async with client(nats) as nc:
            await nc.jetstream().delete_stream("TODOS")
        await until(lambda: relay.check().state == "failed")
        assert await admin("streams", "todos", **urls) == (0, "TODOS")
        await until(lambda: relay.check().detail == "at 20")
    assert await stream_ids(nats) == await log_ids(todos)


async def test_a_broker_that_is_away_is_said_within_seconds(database: DatabaseFactory, nats: Nats) -> None:
    nats.kill()
    begun = monotonic()
    code, printed = await admin("streams", "todos", DATABASE_URL=database("todos").owner_url, NATS_URL=nats.url())
    assert (code, printed) == (1, "admin: TimeoutError: NATS does not answer")
    assert monotonic() - begun < 15


async def test_streams_need_a_migrated_database(bare: Database, database: DatabaseFactory, nats: Nats) -> None:
    code, printed = await admin("streams", "todos", DATABASE_URL=database().owner_url, NATS_URL=nats.url())
    assert code == 1
    assert "migrate todos first" in printed


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ((), {}, "usage: python -m events.admin"),
        (("migrate", "shop"), {}, "there is no package shop with sql/migrations here"),
        (("migrate", "asyncio"), {}, "there is no package asyncio with sql/migrations here"),
        (("streams", "shop"), {}, "usage: python -m events.admin"),
        (("migrate", "todos"), {}, "DATABASE_URL is required"),
        (("streams", "todos"), {"REPLICAS": "0"}, "NATS_URL is required; REPLICAS: Expected"),
        (("migrate", "todos"), {"DATABASE_URL": "postgres://a:b@127.0.0.1:1/c"}, "Connect"),
    ],
)
async def test_what_is_in_the_way_is_named_in_a_line(
    arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    code, printed = await admin(*arguments, **environment)
    assert code == 1
    assert said in printed
    assert "Traceback" not in printed
