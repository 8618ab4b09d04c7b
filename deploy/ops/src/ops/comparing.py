"""A feed's log beside its stream, number by number. Nothing is changed; the first number where they part is told."""

from collections.abc import AsyncIterator, Callable
from typing import Final, Literal, TypeAlias
from uuid import uuid4

import asyncpg
import msgspec
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg

from events.errors import NotMigrated, StreamMissing, StreamUnlawful
from events.feed import Feed
from events.postgres import Connection
from events.pull import Pull, PullBroken
from events.sql import load
from events.streams import checked
from ops.places import Places

SQL = load("ops")
EVENTS_SQL = load("events")
PART: Final = 2000
PULLED: Final = 500

Report: TypeAlias = Callable[[str, int, int], None]
"""Told what is looked at, how far that is, and where it ends."""

How = Literal["gap", "lacks", "differs", "unsaid", "ahead"]

_SAYS: Final[dict[How, str]] = {
    "gap": "the log of {feed} has no {seq}",
    "lacks": "stream {feed} lacks {seq}, which its log has",
    "differs": "message {seq} of stream {feed} is another event than the log's",
    "unsaid": "message {seq} of stream {feed} still says what is erased in its log",
    "ahead": "stream {feed} goes on from {seq}, where its log ends",
}
_NEXT: Final[dict[How, str]] = {
    "gap": "stop {service} and restore its database: no other copy is whole",
    "lacks": "after a restore read docs/operations.md, Restore PostgreSQL, first: somebody may have deleted their "
    "account since; else make the stream anew from the log: todo-ops relay resolve {feed} --abandon-from {seq}",
    "differs": "where the log is right: todo-ops relay resolve {feed} --abandon-from {seq}; else restore the database",
    "unsaid": "restart the worker of {service}: it looks through the stream anew; then verify again",
    "ahead": "where the log only lost its tail: todo-ops relay resolve {feed} --import-tail; "
    "else --abandon-from {seq}",
}  # fmt: skip


class Parting(msgspec.Struct, frozen=True):
    """The first number where log and stream part: how, in words, and what an operator can do."""

    seq: int
    how: How
    says: str
    next: str


class Comparison(msgspec.Struct, frozen=True):
    """A feed's log and its stream, of which so many numbers were `compared` and found the same, or lawfully gone.

    `unpublished`: what the log has beyond the stream, since `waits` seconds; `surplus`: what the stream has beyond the
    log. `trouble`: why the relay publishes nothing, apart from where they part.
    """

    feed: str
    log_first: int
    log_last: int
    stream_first: int | None
    stream_last: int | None
    compared: int
    unpublished: int
    surplus: int
    waits: float
    parted: Parting | None
    trouble: str


def parting(feed: Feed, seq: int, how: How) -> Parting:
    """Where they part, with its words."""
    named = {"feed": feed.name, "seq": seq, "service": feed.service}
    return Parting(seq, how, _SAYS[how].format(**named), _NEXT[how].format(**named))


async def compare(places: Places, feed: Feed, report: Report) -> Comparison:
    """Look through a feed's log and its stream; raises `Unreachable`, `NotMigrated`."""
    async with places.nats(None) as client, places.database(feed.service, None) as connection:
        return await _Walk(feed, client, connection, report).walk()


async def parts_of(
    connection: Connection, query: str, feed: str, after: int, end: int
) -> AsyncIterator[list[asyncpg.Record]]:
    """The rows of a query about a feed after one number and up to another, some at a time."""
    while True:
        rows = await connection.fetch(query, feed, after, end, PART)
        if not rows:
            return
        yield rows
        after = rows[-1]["seq"]


class _Walk:
    """One comparison."""

    def __init__(self, feed: Feed, client: Client, connection: Connection, report: Report) -> None:
        self._feed = feed
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=2)
        self._connection = connection
        self._report = report
        self._compared = 0

    async def walk(self) -> Comparison:
        """The stream is looked at first, then the log: what is published meanwhile is no surplus."""
        first, last, trouble = await self._stream()
        bounds = await self._connection.fetchrow(EVENTS_SQL.feed_bounds, self._feed.name)
        if bounds is None:
            raise NotMigrated(f"feed {self._feed.name} is not in the database of {self._feed.service}")
        if bounds["is_copy"]:
            trouble = trouble or f"the database of {self._feed.service} is a read-only copy"
        end = bounds["last_seq"]
        parted = await self._parting(bounds["oldest"] if self._feed.trimmed else 1, end, first, last)
        if parted is None and last is not None and last > end:
            parted = parting(self._feed, end + 1, "ahead")
        waits = await self._connection.fetchrow(SQL.feed, self._feed.name, last or 0)
        return Comparison(
            self._feed.name,
            bounds["oldest"],
            end,
            first,
            last,
            self._compared,
            max(0, end - max(last or 0, bounds["oldest"] - 1)),
            max(0, (last or 0) - end),
            (waits and waits["waits"]) or 0.0,
            parted,
            trouble,
        )

    async def _stream(self) -> tuple[int | None, int | None, str]:
        """Where the stream begins and ends, and what is wrong with it as a whole."""
        try:
            info, trouble = await checked(self._js, self._feed), ""
        except StreamMissing as error:
            return None, None, str(error)
        except StreamUnlawful as error:
            info, trouble = await self._js.stream_info(self._feed.name), str(error)
        return info.state.first_seq, info.state.last_seq, trouble

    async def _parting(self, start: int, end: int, first: int | None, last: int | None) -> Parting | None:
        expected = start
        pulled = Pulled(self._client, self._feed.name, max(first or 1, start), last or 0)
        try:
            async for rows in parts_of(self._connection, SQL.log_part, self._feed.name, start - 1, end):
                if expected == start and self._feed.trimmed:
                    expected = rows[0]["seq"]  # what was trimmed meanwhile
                found = await pulled.up_to(rows[-1]["seq"])
                for row in rows:
                    if row["seq"] != expected:
                        return parting(self._feed, expected, "gap")
                    if expected <= (last or 0) and (how := await self._judged(row, found.get(expected))):
                        return parting(self._feed, expected, how)
                    expected += 1
                self._report(self._feed.name, expected - 1, end)
        finally:
            await pulled.close()
        return parting(self._feed, expected, "gap") if expected <= end else None

    async def _judged(self, row: asyncpg.Record, message: Msg | None) -> How | None:
        """How they part at a number; looked at once more, for an erasure may have gone through between two looks."""
        seq = row["seq"]
        if how := _judge(self._feed, row, message):
            # Before the log: what is deleted there was erased before.
            there = await message_at(self._js, self._feed.name, seq)
            [row] = await self._connection.fetch(SQL.log_part, self._feed.name, seq - 1, seq, 1)
            how = _judge(self._feed, row, there)
        self._compared += not how
        return how


async def message_at(js: JetStreamContext, stream: str, seq: int) -> RawStreamMsg | None:
    """The message of a number, None where it is not there."""
    try:
        return await js.get_msg(stream, seq)
    except nats.js.errors.NotFoundError:
        return None


class Pulled:
    """A stream's messages from a number to its end, in rising order; without their bodies, unless these are wanted."""

    def __init__(self, client: Client, stream: str, start: int, end: int, *, headers_only: bool = True) -> None:
        name = f"todo-ops-{uuid4()}"
        self._pull = Pull(client, stream, name, start=start, batch=PULLED, headers_only=headers_only)
        self._end = end
        self._there: dict[int, Msg] = {}
        self._opened = False
        self._dry = start > end

    async def up_to(self, seq: int) -> dict[int, Msg]:
        """What is there up to a number and was not given yet."""
        while not self._dry and self._pull.last < min(seq, self._end):
            if not self._opened:
                await self._pull.open()
                self._opened = True
            messages = await self._pull.fetch()
            if not messages:
                if await self._pull.has_lost(after=self._pull.last):
                    raise PullBroken("a message was sent and never came")
                self._dry = True
            self._there |= {message.metadata.sequence.stream: message for message in messages}
        given = {number: message for number, message in self._there.items() if number <= seq}
        self._there = {number: message for number, message in self._there.items() if number > seq}
        return given

    async def close(self) -> None:
        """Drop what the server keeps of this."""
        if self._opened:
            await self._pull.close()


def _judge(feed: Feed, row: asyncpg.Record, message: Msg | RawStreamMsg | None) -> How | None:
    if message is None:
        return None if row["is_erased"] or feed.trimmed else "lacks"
    headers = message.headers or {}
    seq, event_id, kind = (headers.get(f"ce-{name}", "") for name in ("seq", "id", "type"))
    if (seq, event_id) != (str(row["seq"]), str(row["id"])):
        return "differs"
    if kind == row["type"] or row["is_due"]:
        return None
    return "unsaid" if row["is_erased"] else "differs"
