"""Pulling messages from a stream, from a number on, in order.

The server-side consumer is disposable: in memory, without acknowledgements, made anew at each opening. nats-py's own
`fetch` ends an idle wait in three different ways and cannot tell a lost message; here a pull is one request, its
messages are collected by a callback, and `delivered` shows whether the server sent what never came.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from events.beat import beat

INACTIVE = 3600.0
EXPIRES = 2.0
PLACES = 4
"""How many names a consumer's takeovers go round in: NATS grants whole names, and each service gets its own alone."""


_TOKENS = {9: 5, 11: 7, 12: 7}
"""Where a message's number stands in what it is answered to, by how many parts that has: NATS, ADR-15."""


class PullBroken(Exception):
    """The server-side consumer is gone or the connection is: open anew."""


class StreamBehind(PullBroken):
    """The stream is not there, or not yet where the checkpoint is: there is nothing to hear before it comes."""


def names_of(consumer: str) -> tuple[str, ...]:
    """What the server-side consumers of a consumer may be called."""
    return tuple(name_of(consumer, place) for place in range(PLACES))


def name_of(consumer: str, epoch: int) -> str:
    """What it is called in a takeover; the instance that held the one before has another name."""
    return f"{consumer}-{epoch % PLACES}"


def place_of(message: Msg) -> tuple[int, datetime]:
    """A message's number in its stream, and when the stream took it; nats-py's `metadata` takes six times as long.

    Raises `PullBroken` for what no stream has sent.
    """
    number, _, taken, *_ = _counted(message)
    return int(number), datetime.fromtimestamp(int(taken) / 1e9, UTC)


def number_of(message: Msg) -> int:
    """The number alone; raises `PullBroken` as well."""
    return int(_counted(message)[0])


def _counted(message: Msg) -> list[str]:
    """Of what the server is answered at: the message's number in its stream, in its consumer, nanoseconds, and more."""
    tokens = message.reply.split(".")
    at = _TOKENS.get(len(tokens))
    if at is None:
        raise PullBroken("a message came that is not a stream's")
    return tokens[at:]


class Pull:
    """One opening of a stream at `start`; `last` is the number of the last message received.

    `headers_only`: messages come without their bodies. `awaited`: the types, as subjects name them, that end a rest.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        name: str,
        *,
        start: int,
        batch: int,
        headers_only: bool = False,
        awaited: Collection[str] = (),
    ) -> None:
        self._client = client
        self._manager = client.jsm(timeout=1)
        self._stream = stream
        self._name = name
        self._batch = batch
        self._buffer: list[Msg] = []
        self._asked = 0
        self._arrived = asyncio.Event()
        self._awaited = awaited
        self._news = asyncio.Event()
        self._broken = ""
        self._subscription: Any = None
        self._inbox = client.new_inbox()
        self._start = start
        self._headers_only = headers_only
        self.last = start - 1

    async def open(self) -> None:
        """Make the server-side consumer anew and listen."""
        with suppress(nats.js.errors.NotFoundError):
            await self._manager.delete_consumer(self._stream, self._name)
        await self._manager.add_consumer(
            self._stream,
            ConsumerConfig(
                name=self._name,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._start,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=INACTIVE,
                mem_storage=True,
                num_replicas=1,
                headers_only=self._headers_only or None,
            ),
        )
        self._subscription = await self._client.subscribe(self._inbox, cb=self._on_message)

    async def close(self) -> None:
        """Stop listening and drop the server-side consumer, as far as the connection allows."""
        with suppress(Exception):
            await self._subscription.unsubscribe()
            await self._manager.delete_consumer(self._stream, self._name)

    async def fetch(self) -> list[Msg]:
        """The next messages, in the order received; empty after an idle time. Raises `PullBroken`."""
        if self._asked <= 0 and len(self._buffer) < self._batch:
            await self._ask()
        if not self._buffer and not self._broken and self._client.is_connected:
            self._arrived.clear()
            try:
                async with asyncio.timeout(EXPIRES + 0.5):
                    await self._arrived.wait()
            except TimeoutError:
                self._asked = 0  # a restarted broker forgets a pull without a word
        if self._broken or not self._client.is_connected:
            raise PullBroken(self._broken or "the connection is lost")
        messages, self._buffer = self._buffer[: self._batch], self._buffer[self._batch :]
        self._news.clear()
        if messages:
            self.last = number_of(messages[-1])
        return messages

    def wake(self) -> None:
        """Look up: the connection may be lost."""
        self._arrived.set()

    async def rest(self, seconds: float) -> None:
        """Let messages gather for so long, or until one comes of a type that is awaited."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    async def has_lost(self, *, after: int) -> bool:
        """Whether the server delivered more than was received (a message sent into a dead link counts as delivered).

        Up to `after` nothing is missed: what was deleted there never comes.
        """
        info = await self._manager.consumer_info(self._stream, self._name)
        delivered = info.delivered.stream_seq if info.delivered else 0
        return delivered > max(self.last, after) and not self._buffer

    async def _ask(self) -> None:
        self._asked = self._batch
        request = {"batch": self._batch, "expires": int(beat(EXPIRES) * 1e9)}
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}", msgspec.json.encode(request), reply=self._inbox
        )

    async def _on_message(self, message: Msg) -> None:
        headers = {} if message.data else message.headers or {}
        status = headers.get("Status")
        if status is None:
            self._buffer.append(message)
            self._asked -= 1
            if message.subject.rpartition(".")[2] in self._awaited:
                self._news.set()
        elif status in {"404", "408"}:
            self._asked = 0
        elif status != "100":
            self._broken = f"status {status} {headers.get('Description', '')}"
        self._arrived.set()
