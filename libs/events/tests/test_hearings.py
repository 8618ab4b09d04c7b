"""What a consumer heard is told in an event: each batch once, with how long its events had waited."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest
from feeding import CODEC, FEED, connection, create, make_stream, running

from events.broker import Broker
from events.catalog.core import EventsHeard
from events.consumer import Consumer
from events.hearing import Event, Hears
from events.hearings import Hearings
from events.log import Log
from events.postgres import Connection, dialer, open_pool
from events.relay import Relay
from local.fixtures import Database, until
from local.nats import Nats

COUNT = 30


def in_ninety_seconds() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=90)


async def nothing(_: Connection, __: Sequence[Event]) -> None:
    """The handler has no effect."""


async def hear(todos: Database, nats: Nats, *, measured: bool = True) -> None:
    """Events are appended, and heard by a consumer whose clock is ahead."""
    await make_stream(nats)
    dial = dialer(todos.url, application="test")
    broker, ear = Broker(nats.url("todos"), name="test"), Broker(nats.url("activity"), name="ear")
    relay = Relay(FEED, dial, broker)
    log = Log("TODOS", dial, on_appended=relay.wake)
    clock = in_ninety_seconds if measured else None
    consumer = Consumer("activity", [Hears(FEED, nothing)], dial, ear, CODEC, clock=clock)
    async with running(broker.run, ear.run, relay.run, log.run, consumer.run), connection(todos.admin_url) as conn:
        for _ in range(COUNT):
            await log.append(create())
        await until(lambda: conn.fetchval("select seq = $1 from events.checkpoint", COUNT))


async def told(todos: Database) -> list[EventsHeard]:
    async with connection(todos.admin_url) as conn:
        query = "select data::text from events.log where type = 'core.EventsHeard.v1' order by seq"
        return [msgspec.json.decode(row["data"], type=EventsHeard) for row in await conn.fetch(query)]


def numbers_in(events: Sequence[EventsHeard]) -> list[int]:
    batches = [batch for event in events for batch in event.batches]
    return [batch.first + nr for batch in batches for nr, _ in enumerate(batch.waited_ms)]


def hearings(pool: asyncpg.Pool, woken: list[None]) -> Hearings:
    return Hearings(pool, "TODOS", in_ninety_seconds, on_told=lambda: woken.append(None))


async def test_each_event_that_was_heard_is_told_of_once(todos: Database, nats: Nats) -> None:
    woken: list[None] = []
    await hear(todos, nats)
    async with await open_pool(todos.url, application="test") as pool:
        for _ in range(COUNT):
            await hearings(pool, woken).tell()
    events = await told(todos)
    assert {(event.consumer, event.feed) for event in events} == {("activity", "TODOS")}
    batches = [batch for event in events for batch in event.batches]
    assert numbers_in(events) == list(range(1, COUNT + 1))
    assert all(90_000 <= waited < 120_000 for batch in batches for waited in batch.waited_ms)
    assert len(woken) == len(events)


async def test_what_cannot_be_told_now_is_told_later(todos: Database, nats: Nats) -> None:
    await hear(todos, nats)
    async with await open_pool(todos.url, application="test") as pool, connection(todos.admin_url) as conn:
        holding = conn.transaction()
        await holding.start()
        await conn.execute("select 1 from events.feed where name = 'TODOS' for update")
        with pytest.raises(asyncpg.PostgresError):
            await hearings(pool, []).tell()
        await holding.rollback()
        assert await told(todos) == []
        for _ in range(COUNT):
            await hearings(pool, []).tell()
    assert numbers_in(await told(todos)) == list(range(1, COUNT + 1))


async def test_a_consumer_without_a_clock_notes_nothing(todos: Database, nats: Nats) -> None:
    await hear(todos, nats, measured=False)
    async with await open_pool(todos.url, application="test") as pool:
        assert await hearings(pool, []).tell() == 0
    assert await told(todos) == []
