"""The relay: publishes event N of a log as message N of its stream, and nothing else, ever.

It keeps no cursor: the stream is the cursor. Every publish expects its predecessor's number, so a late or second relay
can neither repeat nor reorder anything. Before it publishes at all, on every connect and after every refusal, it
compares the id of the stream's last message with the log's event of that number. See docs/adr/0001.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import uniform
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from events.broker import Broker
from events.envelope import Envelope, subject_of, to_headers
from events.errors import FeedError, HistoryDiffers
from events.feed import Feed
from events.health import Check
from events.postgres import Connection, Dial
from events.sql import load
from events.streams import checked
from events.telemetry import RELAY_BACKLOG, RELAY_REFUSALS, RELAY_SKIPPED, RELAYED

SQL = load("events")
WINDOW = 500
ACK_TIMEOUT = 3.0
POLL_BUSY = 0.1
POLL_IDLE = 1.0
READ_TIMEOUT = 5.0

log = structlog.get_logger(__name__)


# JetStream's error code for a publish that expected another last number.
WRONG_LAST_SEQUENCE = 10071


class _RefusedError(Exception):
    """The stream did not take a message: another relay or a stray publish was first, or its disk is full."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


class _Ack(msgspec.Struct):
    """JetStream's answer to a publish."""

    seq: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


class Relay:
    """Publishes one feed while `run` runs. `wake` tells it of new events; a poll is the safety net."""

    def __init__(self, feed: Feed, dial: Dial, broker: Broker, *, window: int = WINDOW) -> None:
        self.feed = feed
        self._dial = dial
        self._broker = broker
        self._window = window
        self._news = asyncio.Event()
        self._state = Check(f"relay {feed.name}", "late", "not connected yet")

    def wake(self) -> None:
        """There may be something new in the log."""
        self._news.set()

    def check(self) -> Check:
        """ok, late (out of reach, will catch up) or failed (refuses to publish until an operator decides)."""
        return self._state

    async def run(self) -> None:
        """Publish until cancelled. Whatever breaks, it starts over by asking the stream where it stands."""
        while True:
            try:
                await self._session()
            except FeedError as error:
                self._report("failed", str(error))
                await asyncio.sleep(POLL_IDLE)
            except (OSError, TimeoutError, nats.errors.Error, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._report("late", f"{type(error).__name__}: {error}")
                await asyncio.sleep(POLL_BUSY)

    def _report(self, state: str, detail: str) -> None:
        if (state, detail) != (self._state.state, self._state.detail):
            write = log.error if state == "failed" else log.info
            write("relay", feed=self.feed.name, state=state, detail=detail)
        self._state = msgspec.structs.replace(self._state, state=state, detail=detail)

    async def _session(self) -> None:
        """One connection to each side: look, then publish, looking again after every refusal."""
        client = await self._broker.connected()
        connection = await self._dial()
        publisher = Publisher(client, self.feed)
        try:
            await connection.add_listener(channel_of(self.feed.name), lambda *_: self.wake())
            await publisher.open()
            while client.is_connected:
                last = await self._look(client.jetstream(timeout=1), connection)
                try:
                    await self._publish_from(last, client, connection, publisher)
                except _RefusedError as refusal:
                    await self._step_back(refusal)
        finally:
            connection.terminate()
            await publisher.close()

    async def _step_back(self, refusal: _RefusedError) -> None:
        RELAY_REFUSALS.labels(self.feed.name).inc()
        if refusal.code != WRONG_LAST_SEQUENCE:
            self._report("late", f"the stream takes nothing: {refusal}")
        # A second relay is at work, most likely: step out of its pace.
        await asyncio.sleep(uniform(0.05, 0.2))  # noqa: S311 - jitter, not a secret

    async def _look(self, js: JetStreamContext, connection: Connection) -> int:
        """The number after which to publish. The stream is read first, then the log; raises `HistoryDiffers`."""
        info = await checked(js, self.feed)
        last, last_id = info.state.last_seq, await _newest_id(js, self.feed.name, info.state)
        async with asyncio.timeout(READ_TIMEOUT):
            bounds = await connection.fetchrow(SQL.feed_bounds, self.feed.name)
            if bounds is None or bounds["is_copy"]:
                raise HistoryDiffers(f"feed {self.feed.name} is not in this database, or it is a read-only copy")
            if last > bounds["last_seq"]:
                raise HistoryDiffers(
                    f"stream {self.feed.name} is at {last}, its log only at {bounds['last_seq']}: "
                    "the log lost its tail or somebody else published; an operator must decide"
                )
            await self._compare(connection, last_id, bounds["oldest"])
        return await self._skip_trimmed(js, last, bounds["oldest"])

    async def _compare(self, connection: Connection, newest: tuple[int, UUID] | None, oldest: int) -> None:
        if newest is None or (self.feed.trimmed and newest[0] < oldest):
            return
        seq, stream_id = newest
        log_id = await connection.fetchval(SQL.event_id, self.feed.name, seq)
        if log_id != stream_id:
            raise HistoryDiffers(
                f"message {seq} of stream {self.feed.name} is {stream_id}, the log has {log_id} there: "
                "two histories; an operator must decide"
            )

    async def _skip_trimmed(self, js: JetStreamContext, last: int, oldest: int) -> int:
        if oldest <= last + 1:
            return last
        if not self.feed.trimmed:
            raise HistoryDiffers(f"the log of {self.feed.name} begins at {oldest}, its stream ends at {last}")
        await js.purge_stream(self.feed.name, seq=oldest)
        RELAY_SKIPPED.labels(self.feed.name).inc(oldest - 1 - last)
        log.warning("stream purged up to the trimmed log", feed=self.feed.name, skipped=oldest - 1 - last)
        return oldest - 1

    async def _publish_from(self, last: int, client: Client, connection: Connection, publisher: "Publisher") -> None:
        """Publish what follows `last`, window by window; raises `_RefusedError`."""
        while client.is_connected:
            self._news.clear()
            async with asyncio.timeout(READ_TIMEOUT):
                rows = await connection.fetch(SQL.read_log, self.feed.name, last, self._window)
            RELAY_BACKLOG.labels(self.feed.name).set(len(rows))
            if rows:
                await publisher.publish(rows)
                last = rows[-1]["seq"]
                RELAYED.labels(self.feed.name).inc(len(rows))
            self._report("failed", self._broker.trouble) if self._broker.trouble else self._report("ok", f"at {last}")
            if len(rows) < self._window:
                await self._rest()
        raise nats.errors.ConnectionClosedError

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_IDLE):
                await self._news.wait()


class Publisher:
    """Publishes a window of events and waits for all of its acknowledgements, over one reply inbox."""

    def __init__(self, client: Client, feed: Feed) -> None:
        self._client = client
        self._feed = feed
        self._inbox = client.new_inbox()
        self._waiting: set[int] = set()
        self._done: asyncio.Future[None] | None = None
        self._subscription: Any = None

    async def open(self) -> None:
        """Listen for acknowledgements."""
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)
        await self._client.flush(timeout=2)

    async def close(self) -> None:
        """Stop listening; a broken connection is closed already."""
        with suppress(Exception):
            await self._subscription.unsubscribe()

    async def publish(self, rows: Sequence[asyncpg.Record]) -> None:
        """Publish rows of the log in order; returns when the stream has them all. Raises `_RefusedError`."""
        self._waiting = {row["seq"] for row in rows}
        self._done = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(ACK_TIMEOUT):
            for row in rows:
                await self._send(row)
            await self._done

    async def _send(self, row: asyncpg.Record) -> None:
        envelope = envelope_of(self._feed, row)
        headers = to_headers(envelope)
        headers["Nats-Expected-Last-Sequence"] = str(envelope.seq - 1)
        await self._client.publish(
            subject_of(envelope), row["data"].encode(), reply=f"{self._inbox}.{envelope.seq}", headers=headers
        )

    async def _on_ack(self, message: Msg) -> None:
        seq = int(message.subject.rsplit(".", 1)[1])
        if self._done is None or self._done.done() or seq not in self._waiting:
            return
        try:
            ack = msgspec.json.decode(message.data or b"{}", type=_Ack)
        except msgspec.DecodeError:
            ack = _Ack()
        if ack.error is not None or ack.seq != seq or ack.duplicate:
            log.warning("publish refused", feed=self._feed.name, seq=seq, answer=ack.error or ack.seq)
            error = ack.error or {}
            self._done.set_exception(_RefusedError(int(error.get("err_code", 0)), str(error.get("description", ack))))
            return
        self._waiting.discard(seq)
        if not self._waiting:
            self._done.set_result(None)


def envelope_of(feed: Feed, row: asyncpg.Record) -> Envelope:
    """The envelope of a row of `read_log`."""
    return Envelope(
        id=row["id"],
        type=row["type"],
        source=f"/{feed.service}",
        subject=row["subject"],
        time=row["time"],
        seq=row["seq"],
        aggregate=row["aggregate"],
        version=row["version"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        actor=row["actor"],
        traceparent=row["traceparent"],
    )


def channel_of(feed: str) -> str:
    """The NOTIFY channel on which a writer in another process tells of new events."""
    return f"events_{feed.lower()}"


async def _newest_id(js: JetStreamContext, stream: str, state: Any) -> tuple[int, UUID] | None:
    """Number and id of the newest message present, or None when none is (aged out, erased)."""
    for seq in range(state.last_seq, max(state.first_seq, 1) - 1, -1):
        if state.messages == 0:
            return None
        try:
            message = await js.get_msg(stream, seq)
        except nats.js.errors.NotFoundError:
            continue
        return seq, UUID((message.headers or {}).get("ce-id", str(UUID(int=0))))
    return None
