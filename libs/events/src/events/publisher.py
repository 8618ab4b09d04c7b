"""Publishes a window of a log's events into its stream and waits for all of its acknowledgements."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from random import getrandbits
from typing import Any

import asyncpg
import msgspec
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


class Publisher:
    """Publishes a window of events and waits for all of its acknowledgements, over one reply inbox."""

    def __init__(self, client: Client, feed: Feed) -> None:
        self._client = client
        self._feed = feed
        self._inbox = client.new_inbox()
        self._waiting: set[int] = set()
        self._done: asyncio.Future[None] | None = None
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

    async def publish(self, rows: Sequence[asyncpg.Record], *, whole: bool = False) -> None:
        """Publish rows of the log in order; returns when the stream has them all. Raises `RefusedError`.

        `whole`: where the stream takes batches, it stores all or nothing and answers once (NATS 2.12, its ADR-50).
        """
        whole = whole and len(rows) >= BATCH_LEAST and sum(len(row["data"]) for row in rows) <= BATCH_BYTES
        self._waiting = {rows[-1]["seq"]} if whole else {row["seq"] for row in rows}
        self._done = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(ACK_TIMEOUT):
            if whole:
                await self._send_batch(rows)
            else:
                for row in rows:
                    await self._send(row)
            await self._done

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
        headers = to_headers(envelope) | more
        await self._client.publish(subject_of(envelope), row["data"].encode(), reply=reply, headers=headers)

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
            self._done.set_exception(
                RefusedError(seq, int(error.get("err_code", 0)), str(error.get("description", ack)))
            )
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
