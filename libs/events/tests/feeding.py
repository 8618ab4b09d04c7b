"""What the library's tests share: a feed of to-dos, its log, its relay, and commands to put into them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import nats as nats_py
from nats.aio.client import Client

from events.catalog.feeds import FEEDS
from events.catalog.todos import TodoCreated, TodoToggled
from events.catalog.types import TYPES
from events.codec import Codec
from events.command import Change, Command, Context, Key, new_command
from events.ids import uuid7
from events.streams import apply
from local.fixtures import Database
from local.nats import Nats

CODEC = Codec(TYPES)
FEED = FEEDS["TODOS"]
PERSON = UUID("018f0000-0000-7000-8000-000000000001")


def context() -> Context:
    return Context(time=datetime.now(UTC), correlation_id="test", actor="tester")


def created(todo: UUID, title: str = "buy milk") -> TodoCreated:
    return TodoCreated(
        todo_id=todo,
        title=title,
        description=None,
        priority=3,
        completed=False,
        due_at=None,
        remind_minutes_before=None,
    )


def toggled(todo: UUID, *, completed: bool = True) -> TodoToggled:
    return TodoToggled(todo_id=todo, title="buy milk", priority=3, completed=completed)


def create(
    todo: UUID | None = None,
    *,
    title: str = "buy milk",
    key: Key | None = None,
    events: int = 1,
    person: UUID = PERSON,
) -> Command:
    """A command that creates a to-do, and toggles it in the same breath for each further event."""
    todo = todo or uuid7()
    happened = [created(todo, title), *(toggled(todo, completed=bool(nr % 2)) for nr in range(1, events))]
    return new_command(CODEC, context(), Change(aggregate=todo, expected=0, subject=person, events=happened), key=key)


def toggle(todo: UUID, expected: int, *, key: Key | None = None) -> Command:
    change = Change(aggregate=todo, expected=expected, subject=PERSON, events=[toggled(todo)])
    return new_command(CODEC, context(), change, key=key)


@asynccontextmanager
async def running(*tasks: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run tasks beside the body, and end them with it."""
    async with asyncio.TaskGroup() as group:
        started = [group.create_task(task()) for task in tasks]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(url)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def client(server: Nats, user: str = "admin") -> AsyncIterator[Client]:
    opened = await nats_py.connect(server.url(user), allow_reconnect=False, inbox_prefix=f"_INBOX_{user}")
    try:
        yield opened
    finally:
        await opened.close()


async def make_stream(server: Nats, feed: str = "TODOS", *, first_seq: int = 1, replicas: int = 1) -> None:
    async with client(server) as nc:
        await apply(nc.jetstream(timeout=5), FEEDS[feed], first_seq=first_seq, replicas=replicas)


async def log_ids(database: Database, feed: str = "TODOS") -> list[tuple[int, str]]:
    async with connection(database.admin_url) as conn:
        rows = await conn.fetch("select seq, id from events.log where feed = $1 order by seq", feed)
    return [(row["seq"], str(row["id"])) for row in rows]


async def stream_ids(server: Nats, feed: str = "TODOS") -> list[tuple[int, str]]:
    """Number and id of every message of a stream, read one way that no code under test uses."""
    async with client(server) as nc:
        js = nc.jetstream(timeout=5)
        info = await js.stream_info(feed)
        found: list[tuple[int, str]] = []
        if info.state.messages == 0:
            return found
        sub = await js.subscribe("ev.>", stream=feed, ordered_consumer=True)
        while len(found) < info.state.messages:
            message = await sub.next_msg(timeout=5)
            found.append((message.metadata.sequence.stream, message.headers["ce-id"]))
        await sub.unsubscribe()
    return found


async def is_at(server: Nats, seq: int) -> bool:
    return await last_seq(server) == seq


async def last_seq(server: Nats, feed: str = "TODOS") -> int:
    async with client(server) as nc:
        return (await nc.jetstream(timeout=2).stream_info(feed)).state.last_seq
