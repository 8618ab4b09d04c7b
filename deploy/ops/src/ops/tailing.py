"""Events as they come, from the streams; never what is sealed in them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from events.catalog.feeds import FEEDS
from events.envelope import Envelope, from_headers
from events.errors import Undecodable
from events.pull import Pull, PullBroken
from ops.places import Places, Unreachable

BATCH: Final = 200
PAUSE: Final = 1.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events; empty or None: any. A type is `TodoCreated` or `todos.TodoCreated.v1`."""

    feeds: Sequence[str] = ()
    types: Sequence[str] = ()
    person: UUID | None = None
    aggregate: UUID | None = None
    since: datetime | None = None

    def has(self, envelope: Envelope) -> bool:
        """Whether an event is one of them."""
        names = {envelope.type, envelope.type.split(".")[1] if envelope.type.count(".") else ""}
        return (
            (not self.types or not names.isdisjoint(self.types))
            and self.person in {None, envelope.subject}
            and self.aggregate in {None, envelope.aggregate}
            and (self.since is None or envelope.time >= self.since)
        )


class Told(msgspec.Struct, frozen=True):
    """An event as it is shown. `data` is without what is sealed; None where it does not decode."""

    feed: str
    seq: int
    time: datetime
    type: str
    person: UUID
    aggregate: UUID
    version: int
    id: UUID
    correlation_id: str
    actor: str
    data: Any


Tell = Callable[[Told], None]


async def tail(places: Places, wanted: Wanted, tell: Tell, say: Callable[[str], None]) -> None:
    """Tell of events until cancelled, or until `tell` raises; `say` is told of NATS going away, and it is waited for.

    Raises `Unreachable` where NATS does not answer at first.
    """
    starts: dict[str, int] = {}
    while True:
        try:
            async with places.nats(None) as client:
                starts = starts or await _starts(client, wanted)
                await _follow_all(client, starts, wanted, tell)
        except Unreachable as error:
            if not starts:
                raise
            say(f"{error}; waiting for it")
            await asyncio.sleep(PAUSE)


async def _starts(client: Client, wanted: Wanted) -> dict[str, int]:
    """Where to begin in each stream: behind its last message, or with the first that was published since a moment."""
    found = {}
    for name in wanted.feeds or FEEDS:
        try:
            found[name] = await _start(client, name, wanted.since)
        except nats.js.errors.NotFoundError:
            if wanted.feeds:
                raise Unreachable(f"stream {name} does not exist") from None
    if not found:
        raise Unreachable("there is no stream")
    return found


async def _start(client: Client, stream: str, since: datetime | None) -> int:
    js = client.jsm(timeout=2)
    if since is None:
        return int((await js.stream_info(stream)).state.last_seq) + 1
    name = f"todo-ops-{uuid4()}"
    config = ConsumerConfig(
        name=name,
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=since,
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        num_replicas=1,
    )
    asked = await js.add_consumer(stream, config)  # the server finds the number; nothing is pulled from it
    await js.delete_consumer(stream, name)
    return (asked.delivered.stream_seq if asked.delivered else 0) + 1


async def _follow_all(client: Client, starts: dict[str, int], wanted: Wanted, tell: Tell) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for name in starts:
                group.create_task(_follow(client, name, starts, wanted, tell))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _follow(client: Client, feed: str, starts: dict[str, int], wanted: Wanted, tell: Tell) -> None:
    """Tell of one feed's events; `starts` moves along, so that nothing is told twice after a connection was lost."""
    pull = Pull(client, feed, f"todo-ops-{uuid4()}", start=starts[feed], batch=BATCH)
    await pull.open()
    try:
        while True:
            messages = await pull.fetch()
            if not messages and await pull.has_lost(after=starts[feed] - 1):
                raise PullBroken("a message was sent and never came")
            for message in messages:
                starts[feed] = message.metadata.sequence.stream + 1
                _tell(message, feed, wanted, tell)
    finally:
        await pull.close()


def _tell(message: Msg, feed: str, wanted: Wanted, tell: Tell) -> None:
    try:
        envelope = from_headers(message.headers)
    except Undecodable:
        return  # not from the relay, which stands then: `relay check` tells
    if wanted.has(envelope):
        tell(
            Told(
                feed,
                envelope.seq,
                envelope.time,
                envelope.type,
                envelope.subject,
                envelope.aggregate,
                envelope.version,
                envelope.id,
                envelope.correlation_id,
                envelope.actor,
                _opened(message.data),
            )
        )


def _opened(raw: bytes) -> Any:
    try:
        return without_seals(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def without_seals(data: Any) -> Any:
    """Data as it may be shown: `sealed`, `sealed_contact` and whatever else is named so are left out, at any depth."""
    if isinstance(data, dict):
        return {name: without_seals(value) for name, value in data.items() if not name.startswith("sealed")}
    if isinstance(data, list):
        return [without_seals(value) for value in data]
    return data
