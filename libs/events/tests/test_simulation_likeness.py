"""The simulated database and stream answer as PostgreSQL and NATS do: the same random calls are made of both."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, TypeVar

import pytest
from feeding import FEED, client, connection
from simulation.likeness import LEFT, Script, Told
from simulation.likeness_stream import Script as StreamScript
from simulation.loop import PROCESS, Loop
from simulation.nats import Client, Wire
from simulation.network import Network
from simulation.postgres import Server
from simulation.stream import Broker
from simulation.tables import Store

from local.fixtures import Database, until
from local.nats import Nats

T = TypeVar("T")
CALLS = 60
EMPTY = """
truncate events.log, events.idempotency, events.checkpoint, events.lease, events.parked, events.discarded, events.act,
    letter, effect cascade;
update events.feed set last_seq = 0
"""
WAITING = "select pid from pg_stat_activity where wait_event_type = 'Lock' and pid = any ($1)"


def simulated(story: Callable[[Loop], Awaitable[T]]) -> T:
    """What a story comes to in virtual time."""
    loop = Loop(Random(1))
    PROCESS.set(loop.outside)

    async def tell() -> T:
        return await story(loop)

    task = loop.spawn(loop.outside, tell())
    task.add_done_callback(lambda _: loop.stop())
    loop.run()
    loop.end()
    result: T = task.result()
    return result


def told_by_the_simulation(seed: int) -> Told:
    async def story(loop: Loop) -> Told:
        store = Store(loop.time, Random(2))
        store.tables["feed"][(FEED.name,)] = {"last_seq": 0}
        server = Server(loop, Network(Random(3)), store)

        async def settle(_: Sequence[asyncio.Task[Any]]) -> None:
            await asyncio.sleep(0.02)

        script = Script(seed, [await server.dial(), await server.dial()], settle)
        told = await script.run(CALLS)
        for table in LEFT:
            told += script.left(table, [_named(table, place, row) for place, row in store.tables[table].items()])
        return told

    return simulated(story)


def _named(table: str, place: tuple[Any, ...], row: dict[str, Any]) -> dict[str, Any]:
    names = {"feed": ["name"], "lease": ["name"], "checkpoint": ["consumer", "feed"]}
    parts = names.get(table, ["consumer", "feed", "seq"] if table in {"parked", "discarded"} else [])
    return dict(zip(parts, place[: len(parts)], strict=True)) | row


async def told_by_postgres(seed: int, todos: Database) -> Told:
    async with connection(todos.url) as one, connection(todos.url) as two, connection(todos.admin_url) as admin:
        for each in (one, two):
            await each.execute("set lock_timeout = '30s'; set idle_in_transaction_session_timeout = '60s'")
            await each.execute("set transaction_timeout = '90s'")
        pids = [each.get_server_pid() for each in (one, two)]

        async def settle(tasks: Sequence[asyncio.Task[Any]]) -> None:
            async def settled() -> bool:
                return all(task.done() for task in tasks) or bool(await admin.fetch(WAITING, pids))

            await until(settled)

        script = Script(seed, [one, two], settle)
        told = await script.run(CALLS)
        for table in LEFT:
            place = table if table == "letter" else f"events.{table}"
            where = f"where name = '{FEED.name}'" if table == "feed" else ""
            told += script.left(table, await admin.fetch(f"select * from {place} {where}"))
        return told


@pytest.fixture
async def tables(todos: Database) -> Database:
    """The library's database with the tables that the simulation's own code writes."""
    async with connection(todos.owner_url) as owner:
        await owner.execute("create table letter (like events.work including all)")
        await owner.execute("create table effect (seq bigint, key uuid, event_id uuid)")
        await owner.execute("grant select, insert, update on letter, effect to events")
    return todos


async def test_the_simulated_database_answers_as_postgresql_does(tables: Database, full: bool) -> None:
    for seed in range(100 if full else 6):
        async with connection(tables.admin_url) as admin:
            await admin.execute(EMPTY)
        real = await told_by_postgres(seed, tables)
        ours = await asyncio.to_thread(told_by_the_simulation, seed)
        for number, (theirs, mine) in enumerate(zip(real, ours, strict=False)):
            assert mine == theirs, f"seed {seed}, line {number}"
        assert len(real) == len(ours)


async def test_the_simulated_stream_answers_as_nats_does(nats: Nats, full: bool) -> None:
    for seed in range(40 if full else 4):

        async def story(loop: Loop, seed: int = seed) -> Any:
            wire = Wire(loop, Network(Random(3)), Broker(loop.time))
            return await StreamScript(seed, Client(wire)).run(CALLS)

        async with client(nats) as nc:
            real = await StreamScript(seed, nc).run(CALLS)
            await nc.jetstream().delete_stream(FEED.name)
        ours = await asyncio.to_thread(simulated, story)
        for number, (theirs, mine) in enumerate(zip(real, ours, strict=True)):
            assert mine == theirs, f"seed {seed}, line {number}"
