"""Peers of relay and consumer, each in a process of its own: a stream alone, by its client library and by its protocol.

`python -m bench.streaming` reads a job from stdin and writes what it took to stdout.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import perf_counter, process_time
from typing import Final, TypeAlias

import asyncpg
import msgspec
import nats.errors
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from bench.counts import Unsound
from bench.flows import Flow
from bench.wire import Wire, frame
from events.access import Access, connect
from events.applying import event_of
from events.envelope import subject_of, to_headers
from events.feed import Feed
from events.publisher import Publisher, envelope_of
from events.pull import Pull
from events.sql import load
from events.streams import declared

SQL: Final = load("events")
SPARE: Final = Feed(name="SPARE", service="spare", subjects=("ev.spare.>",))
"""Where peers publish: a stream as declared for any feed."""
WINDOW: Final = 500


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: `way` with the first `events` of the log at `database`, or of stream TODOS."""

    way: str
    events: int
    broker: str
    database: str


Rows: TypeAlias = Sequence[asyncpg.Record]
Publish: TypeAlias = Callable[[Job, Client, Rows], Awaitable[Callable[[], Awaitable[None]]]]
"""Makes ready; what it gives publishes everything and returns when the stream has it."""


def _messages(rows: Rows) -> list[tuple[str, bytes, dict[str, str]]]:
    envelopes = [envelope_of(SPARE, row) for row in rows]
    return [
        (subject_of(each), row["data"].encode(), to_headers(each)) for each, row in zip(envelopes, rows, strict=True)
    ]


async def _singly(_: Job, client: Client, rows: Rows) -> Callable[[], Awaitable[None]]:
    js, messages = client.jetstream(), _messages(rows)

    async def publish() -> None:
        for subject, body, headers in messages:
            await js.publish(subject, body, headers=headers)

    return publish


async def _gathered(_: Job, client: Client, rows: Rows) -> Callable[[], Awaitable[None]]:
    js, messages = client.jetstream(), _messages(rows)

    async def publish() -> None:
        for at in range(0, len(messages), WINDOW):
            part = messages[at : at + WINDOW]
            await asyncio.gather(*(js.publish(subject, body, headers=headers) for subject, body, headers in part))

    return publish


async def _ours(_: Job, client: Client, rows: Rows) -> Callable[[], Awaitable[None]]:
    publisher = Publisher(client, SPARE)
    await publisher.open()

    async def publish() -> None:
        before = None
        for at in range(0, len(rows), WINDOW):
            sent = await publisher.send(rows[at : at + WINDOW], whole=True)
            if before is not None:
                await publisher.stored(before)
            before = sent
        if before is not None:
            await publisher.stored(before)

    return publish


async def _wired(job: Job, _: Client, rows: Rows) -> Callable[[], Awaitable[None]]:
    wire = await Wire.open(job.broker)
    frames = []
    for (subject, body, headers), row in zip(_messages(rows), rows, strict=True):
        expected = headers | {"Nats-Expected-Last-Sequence": str(row["seq"] - 1)}
        frames.append(frame(subject, f"wire.acks.{row['seq']}", expected, body))

    async def publish() -> None:
        await wire.publish("wire.acks", frames, WINDOW)

    return publish


PUBLISH: Final[dict[str, tuple[Publish, int]]] = {
    "nats-py, `js.publish` one by one": (_singly, 5_000),
    "nats-py, `js.publish` gathered, 500 at a time": (_gathered, 25_000),
    "the relay's publisher, its rows at hand": (_ours, 50_000),
    "the protocol alone, its frames at hand": (_wired, 100_000),
}
"""How, and how many events: some seconds of work each."""


async def _published(job: Job, client: Client) -> Flow:
    """Publish the log's first events into an empty stream; raises `Unsound` where it has others than these then."""
    connection = await asyncpg.connect(job.database, server_settings={"statement_timeout": "0"})
    rows = await connection.fetch(SQL.read_log, "TODOS", 0, job.events)
    await connection.close()
    js = client.jetstream(timeout=5)
    with suppress(NotFoundError):
        await js.delete_stream(SPARE.name)
    await js.add_stream(declared(SPARE))
    publish = await PUBLISH[job.way][0](job, client, rows)
    took = await _timed(publish, len(rows))
    state = (await js.stream_info(SPARE.name)).state
    if not state.last_seq == state.messages == job.events == len(rows):
        raise Unsound(f"{job.events} events were published, the stream has {state.messages}, up to {state.last_seq}")
    await js.delete_stream(SPARE.name)
    return took


Fetch: TypeAlias = Callable[[Job, Client], Awaitable[Callable[[], Awaitable[None]]]]
_CONSUMER: Final = "spare"


async def _fetched(job: Job, client: Client) -> Callable[[], Awaitable[None]]:
    """nats-py's own `fetch`, 500 at a time."""
    js = client.jetstream(timeout=5)
    await _consumer(js)
    subscription = await js.pull_subscribe_bind(consumer=_CONSUMER, stream="TODOS")

    async def fetch() -> None:
        count = 0
        while count < job.events:
            with suppress(nats.errors.TimeoutError):
                count += len(await subscription.fetch(WINDOW, timeout=2))

    return fetch


async def _pulled(job: Job, client: Client) -> Callable[[], Awaitable[None]]:
    return await _pull(job, client, lambda _: None)


async def _decoded(job: Job, client: Client) -> Callable[[], Awaitable[None]]:
    """What a consumer does before it knows what an event is."""

    def decode(messages: Sequence[Msg]) -> None:
        for message in messages:
            meta = message.metadata
            event_of("TODOS", meta.sequence.stream, message.headers, message.data, meta.timestamp)

    return await _pull(job, client, decode)


async def _pull(job: Job, client: Client, take: Callable[[Sequence[Msg]], None]) -> Callable[[], Awaitable[None]]:
    pull = Pull(client, "TODOS", _CONSUMER, start=1, batch=WINDOW)
    await pull.open()

    async def fetch() -> None:
        while pull.last < job.events:
            take(await pull.fetch())

    return fetch


async def _wire_fetched(job: Job, client: Client) -> Callable[[], Awaitable[None]]:
    await _consumer(client.jetstream(timeout=5))
    wire = await Wire.open(job.broker)

    async def fetch() -> None:
        await wire.fetch(f"$JS.API.CONSUMER.MSG.NEXT.TODOS.{_CONSUMER}", job.events, WINDOW)

    return fetch


async def _consumer(js: JetStreamContext) -> None:
    await js.add_consumer(
        "TODOS",
        ConsumerConfig(
            name=_CONSUMER,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.NONE,
            mem_storage=True,
            inactive_threshold=60,
        ),
    )


FETCH: Final[dict[str, Fetch]] = {
    "nats-py, `fetch`, nothing done": _fetched,
    "`events.pull`, nothing done": _pulled,
    "`events.pull`, envelopes decoded": _decoded,
    "the protocol alone, nothing done": _wire_fetched,
}


async def _heard(job: Job, client: Client) -> Flow:
    """Fetch the stream's first events, by a server-side consumer of its own."""
    manager = client.jsm(timeout=5)
    with suppress(NotFoundError):
        await manager.delete_consumer("TODOS", _CONSUMER)
    took = await _timed(await FETCH[job.way](job, client), job.events)
    with suppress(NotFoundError):
        await manager.delete_consumer("TODOS", _CONSUMER)
    return took


async def _timed(work: Callable[[], Awaitable[None]], events: int) -> Flow:
    started, before = perf_counter(), process_time()
    await work()
    return Flow(events=events, seconds=perf_counter() - started, cpu={"worker": process_time() - before})


async def streamed(job: Job) -> Flow:
    """Have a process of its own do it; raises `Unsound` where it could not."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.streaming"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(msgspec.json.encode(job))
    if process.returncode:
        raise Unsound(f"{job.way}: its process ended with {process.returncode}")
    return msgspec.json.decode(output, type=Flow)


async def _serve(job: Job) -> Flow:
    client = await connect(Access(job.broker), name="bench")
    try:
        return await (_published if job.way in PUBLISH else _heard)(job, client)
    finally:
        await client.close()


def main() -> None:
    """Read a job from stdin, write its flow to stdout."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_serve(job))))


if __name__ == "__main__":
    main()
