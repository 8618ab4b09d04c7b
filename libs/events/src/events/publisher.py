"""Publishes windows of a log's events into its stream and waits for their acknowledgements."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from random import getrandbits
from typing import Any

import asyncpg
import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from events.envelope import Envelope, subject_of, to_headers
from events.feed import Feed

ACK_TIMEOUT = 3.0
BATCH_LEAST = 16
BATCH_BYTES = 8 * 1024 * 1024
"""How many events are worth a batch that is stored as a whole, and what it may hold: the server keeps it apart."""

log = structlog.get_logger(__name__)

# JetStream's error code for a publish that expected another last number.
WRONG_LAST_SEQUENCE = 10071
_EXPECTED = "Nats-Expected-Last-Sequence"


class RefusedError(Exception):
    """The stream did not take a message: another relay or a stray publish was first, or its disk is full."""

    def __init__(self, seq: int, code: int, description: str) -> None:
        super().__init__(description)
        self.seq = seq
        self.code = code


class _Ack(msgspec.Struct):
    """JetStream's answer to a publish."""

    seq: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


class Window:
    """Events that were sent together: `waiting` are the numbers still to be acknowledged.

    `is_whole`: they are stored all or not at all.
    """

    __slots__ = ("answered", "is_whole", "refusal", "waiting")

    def __init__(self, waiting: set[int], *, is_whole: bool) -> None:
        self.waiting = waiting
        self.is_whole = is_whole
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.refusal: RefusedError | nats.errors.Error | None = None

    def refuse(self, refusal: RefusedError | nats.errors.Error) -> None:
        """The stream did not take it, or nobody will say."""
        # Kept, not set as the future's: nobody may ask any more, since a window before it was refused too.
        self.refusal = refusal
        self.answered.set_result(None)

    def acknowledge(self, seq: int) -> None:
        """The stream has this number."""
        self.waiting.discard(seq)
        if not self.waiting:
            self.answered.set_result(None)


class Publisher:
    """Publishes windows of events and waits for their acknowledgements, over one reply inbox."""

    def __init__(self, client: Client, feed: Feed) -> None:
        self._client = client
        self._feed = feed
        self._inbox = client.new_inbox()
        self._on_their_way: list[Window] = []
        self._subscription: Any = None
        self._batches = count(getrandbits(32))  # another relay's batch of the same numbers is not this one

    async def open(self) -> None:
        """Listen for acknowledgements."""
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)
        await self._client.flush(timeout=2)

    async def close(self) -> None:
        """Stop listening; a broken connection is closed already."""
        with suppress(Exception):
            await self._subscription.unsubscribe()

    def give_up(self) -> None:
        """The connection is lost: no answer comes any more."""
        for window in self._on_their_way:
            if not window.answered.done():
                window.refuse(nats.errors.ConnectionClosedError())

    async def publish(self, rows: Sequence[asyncpg.Record], *, whole: bool = False) -> None:
        """Publish rows of the log in order; returns when the stream has them all. Raises `RefusedError`."""
        await self.stored(await self.send(rows, whole=whole))

    async def send(self, rows: Sequence[asyncpg.Record], *, whole: bool = False) -> Window:
        """Send rows of the log in order; `stored` tells what became of them. More may be sent behind them meanwhile.

        `whole`: where the stream takes batches, it stores all or nothing and answers once (NATS 2.12, its ADR-50).
        """
        whole = whole and len(rows) >= BATCH_LEAST and sum(len(row["data"]) for row in rows) <= BATCH_BYTES
        window = Window({rows[-1]["seq"]} if whole else {row["seq"] for row in rows}, is_whole=whole)
        self._on_their_way.append(window)
        with self._forgetting():
            async with asyncio.timeout(ACK_TIMEOUT):
                if whole:
                    await self._send_batch(rows)
                else:
                    for row in rows:
                        await self._send(row)
        return window

    async def stored(self, window: Window) -> None:
        """Wait until the stream has a window.

        Raises `RefusedError`, or what a lost connection raises: what was sent behind it is forgotten then.
        """
        with self._forgetting():
            async with asyncio.timeout(ACK_TIMEOUT):
                await window.answered
            if window.refusal is not None:
                raise window.refusal
        self._on_their_way.remove(window)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Whatever goes wrong with one window, its numbers are sent again: no answer to any of them counts any more."""
        try:
            yield
        except BaseException:
            self._on_their_way.clear()
            raise

    async def _send(self, row: asyncpg.Record) -> None:
        await self._send_as(row, {_EXPECTED: str(row["seq"] - 1)}, f"{self._inbox}.{row['seq']}")

    async def _send_batch(self, rows: Sequence[asyncpg.Record]) -> None:
        """The first expects its predecessor's number, the last is answered for all."""
        batch = f"{rows[0]['seq']}-{next(self._batches)}"
        for nr, row in enumerate(rows, start=1):
            headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(nr)}
            if nr == 1:
                headers[_EXPECTED] = str(row["seq"] - 1)
            reply = ""
            if nr == len(rows):
                headers["Nats-Batch-Commit"] = "1"
                reply = f"{self._inbox}.{row['seq']}"
            await self._send_as(row, headers, reply)

    async def _send_as(self, row: asyncpg.Record, more: dict[str, str], reply: str) -> None:
        envelope = envelope_of(self._feed, row)
        headers = to_headers(envelope)
        headers.update(more)
        await self._client.publish(subject_of(envelope), row["data"].encode(), reply=reply, headers=headers)

    async def _on_ack(self, message: Msg) -> None:
        seq = int(message.subject.rsplit(".", 1)[1])
        window = next((each for each in self._on_their_way if seq in each.waiting), None)
        if window is None or window.answered.done():
            return
        try:
            ack = msgspec.json.decode(message.data or b"{}", type=_Ack)
        except msgspec.DecodeError:
            ack = _Ack()
        if ack.error is None and ack.seq == seq and not ack.duplicate:
            window.acknowledge(seq)
            return
        log.warning("publish refused", feed=self._feed.name, seq=seq, answer=ack.error or ack.seq)
        error = ack.error or {}
        window.refuse(RefusedError(seq, int(error.get("err_code", 0)), str(error.get("description", ack))))


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
