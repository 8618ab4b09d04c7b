"""Appending to a feed and reading it. Event N of the feed is message N of its stream, for ever.

`Log` is the group commit in front of the SQL function `events.append`: requests that arrive together are appended
together over one connection, the lane. See docs/adr/0001.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import asyncpg
import msgspec
import structlog

from events.beat import beat
from events.command import Command, appending
from events.errors import BadCommand, EventsError, KeyReused, OutcomeUnknown, Overloaded, Unavailable, VersionConflict
from events.health import Check
from events.postgres import AWAY, Connection, Dial, is_rejection, is_too_slow
from events.sql import load
from events.telemetry import APPEND_GROUP, APPEND_SECONDS, APPENDED, WAITING

SQL = load("events")
GROUP = 512
GROUP_BYTES = 4 * 1024 * 1024
WAITING_MAX = 4096
WAITING_BYTES = 64 * 1024 * 1024
DEADLINE = 5.0
CALL_TIMEOUT = 15.0
PROBE_EVERY = 2.0
PROBE_TIMEOUT = 2.0
_UNKNOWN = "the outcome is unknown; retry with the same Idempotency-Key"
_SILENT = "the database does not answer; retry in a few seconds"

log = structlog.get_logger(__name__)


class Appended(msgspec.Struct, frozen=True):
    """A command's answer: `position` is the seq of its last event (or the feed's, without events).

    `replayed` carries the stored answer when the command's Idempotency-Key was already known: nothing was appended.
    """

    position: int
    replayed: bytes | None = None


class _Entry:
    """A command that waits for its answer. `sent`: the database may have seen it."""

    __slots__ = ("answer", "command", "locks", "sent", "size")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.locks = command.locks
        self.size = command.size
        self.answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self.sent = False

    def give_up(self) -> None:
        """Its time is over: nobody waits for it any more."""
        if not self.answer.done():
            late = OutcomeUnknown(_UNKNOWN) if self.sent else Unavailable(_SILENT, retry_after=2)
            self.answer.set_exception(late)


class Log:
    """The writing end of one feed: one lane, at most one group on its way, `waiting_max` commands in front of it.

    What waits and is on its way holds 64 MiB at most, a group 4 MiB (or one command).
    `dial` opens the lane's connection; `on_appended` is told after each commit (it wakes the relay).
    """

    def __init__(
        self,
        feed: str,
        dial: Dial,
        *,
        on_appended: Callable[[], None] = lambda: None,
        deadline: float = DEADLINE,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self.feed = feed
        self._dial = dial
        self._on_appended = on_appended
        self._deadline = deadline
        self._waiting_max = waiting_max
        self._waiting: deque[_Entry] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._connection: Connection | None = None
        self._state = Check(f"log {feed}", "failed", "not connected yet")
        WAITING.labels(feed).set_function(lambda: len(self._waiting))

    def check(self) -> Check:
        """ok, or failed while the database cannot be reached or does not answer."""
        return self._state

    async def append(self, command: Command) -> Appended:
        """Append one command; durable when this returns.

        Raises `VersionConflict`, `KeyReused`, `BadCommand` (refused, nothing stored), `Overloaded`, `Unavailable`
        (never sent) and `OutcomeUnknown` (retry with the same Idempotency-Key). Cancelling the caller leaves the
        outcome open and harms nobody else.
        """
        with appending(self.feed, command):
            return await self._enter(command).answer

    def _enter(self, command: Command) -> _Entry:
        """Let a command wait for the lane; raises `Overloaded`."""
        entry = _Entry(command)
        if len(self._waiting) >= self._waiting_max or self._bytes + entry.size > WAITING_BYTES:
            raise Overloaded("too many writes are waiting; retry in a second")
        self._waiting.append(entry)
        self._bytes += entry.size
        late = asyncio.get_running_loop().call_later(self._deadline, entry.give_up)
        entry.answer.add_done_callback(lambda _: self._leave(entry, late))
        self._wake.set()
        return entry

    def _leave(self, entry: _Entry, late: asyncio.TimerHandle) -> None:
        late.cancel()
        self._bytes -= entry.size

    async def run(self) -> None:
        """The lane: settles groups one after another until cancelled."""
        try:
            while True:
                await self._idle()
                while self._waiting:
                    await self._connected()
                    await self._settle(self._take_group())
        finally:
            if self._connection is not None:
                self._connection.terminate()

    async def _idle(self) -> None:
        """Wait for a command; every two seconds see that the database is still there."""
        connection = await self._connected()
        self._answers()
        try:
            async with asyncio.timeout(beat(PROBE_EVERY)):
                await self._wake.wait()
        except TimeoutError:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT):
                    await connection.execute("select 1")
            except AWAY as error:
                await self._pause(error)
        self._wake.clear()

    def _take_group(self) -> list[_Entry]:
        """The longest run of waiting commands, oldest first, in which no two share an aggregate or a key."""
        group: list[_Entry] = []
        held: set[object] = set()
        later: list[_Entry] = []
        size = 0
        while self._waiting and len(group) < GROUP and len(later) < GROUP and size < GROUP_BYTES:
            entry = self._waiting.popleft()
            if entry.answer.done():
                continue
            size += entry.size
            # Also what steps aside holds its locks, so that commands on one aggregate keep their order.
            (later if held & entry.locks else group).append(entry)
            held |= entry.locks
        self._waiting.extendleft(reversed(later))
        return group

    async def _settle(self, group: Sequence[_Entry]) -> None:
        """Call append until the outcome of every command of the group is known."""
        for entry in group:
            entry.sent = True
        while group:
            try:
                answers = await self._call([entry.command for entry in group])
            except AWAY as error:
                if is_rejection(error):
                    await self._settle_apart(group, error)
                    return
                await self._pause(error)
                if is_too_slow(error) and len(group) > 1:
                    await self._settle_halves(group)
                    return
            else:
                self._answers()
                for entry, answer in zip(group, answers, strict=True):
                    _deliver(entry, self.feed, answer)
                self._on_appended()
                return

    async def _settle_apart(self, group: Sequence[_Entry], error: asyncpg.PostgresError) -> None:
        """The database rejected the group: run its commands one by one, so that a bad one harms no other."""
        if len(group) > 1:
            for entry in group:
                await self._settle([entry])
            return
        APPENDED.labels(self.feed, "rejected").inc()
        if not group[0].answer.done():
            group[0].answer.set_exception(BadCommand(f"the database rejected the command: {type(error).__name__}"))

    async def _settle_halves(self, group: Sequence[_Entry]) -> None:
        """What took too long as a whole would take too long again."""
        middle = len(group) // 2
        await self._settle(group[:middle])
        await self._settle(group[middle:])

    async def _call(self, commands: Sequence[Command]) -> list[asyncpg.Record]:
        connection = await self._connected()
        APPEND_GROUP.labels(self.feed).observe(len(commands))
        with APPEND_SECONDS.labels(self.feed).time():
            # The timeout cuts the connection: a cancel sent to the server can succeed as a commit (docs/adr/0001).
            async with asyncio.timeout(CALL_TIMEOUT):
                return await connection.fetch(SQL.append, *arguments(self.feed, commands))

    async def _connected(self) -> Connection:
        while self._connection is None or self._connection.is_closed():
            try:
                self._connection = await self._dial()
            except AWAY as error:
                await self._pause(error)
        return self._connection

    async def _pause(self, error: BaseException) -> None:
        """The outcome is unknown or the database away: drop the connection, wait, let the caller try again."""
        self._state = Check(self._state.name, "failed", f"the database takes no writes: {type(error).__name__}")
        log.warning("append will be tried again", feed=self.feed, error=type(error).__name__)
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        self._waiting = deque(entry for entry in self._waiting if not entry.answer.done())
        await asyncio.sleep(0.1)

    def _answers(self) -> None:
        # Not at a new connection alone: a database that accepts those may still refuse every append.
        self._state = Check(self._state.name, "ok")


def _deliver(entry: _Entry, feed: str, row: asyncpg.Record) -> None:
    outcome = row["outcome"]
    APPENDED.labels(feed, outcome).inc()
    if entry.answer.done():
        return
    if error := _REFUSALS.get(outcome):
        entry.answer.set_exception(error[0](error[1]))
    else:
        entry.answer.set_result(Appended(row["position"], row["answer"] if outcome == "replayed" else None))


_REFUSALS: dict[str, tuple[type[EventsError], str]] = {
    "stale": (VersionConflict, "another command came first; load the state anew and decide again"),
    "key_reused": (KeyReused, "this Idempotency-Key was used with another body; use a fresh key"),
}


def arguments(feed: str, commands: Sequence[Command]) -> tuple[Any, ...]:
    """The parameters of `events.append` for a group of commands, column by column."""
    contexts = [command.context for command in commands]
    keys = [command.key for command in commands]
    events = [(nr, event) for nr, command in enumerate(commands, start=1) for event in command.events]
    states = [(nr, state) for nr, command in enumerate(commands, start=1) for state in command.states]
    return (
        feed,
        [command.id for command in commands],
        [len(command.events) for command in commands],
        *([getattr(context, name) for context in contexts] for name in _CONTEXT),
        *([key and getattr(key, name) for key in keys] for name in _KEY),
        [nr for nr, _ in events],
        *([getattr(event, name) for _, event in events] for name in _EVENT),
        [nr for nr, _ in states],
        *([getattr(state, name) for _, state in states] for name in _STATE),
    )


_CONTEXT = ("time", "correlation_id", "causation_id", "actor", "traceparent")
_KEY = ("user_id", "route", "key", "body_hash", "answer", "expires_at")
_EVENT = ("id", "aggregate", "version", "type", "subject", "data")
_STATE = ("kind", "id", "version", "state")


async def append_last(connection: Connection, feed: str, command: Command) -> Appended:
    """Append as the last statement of the caller's open transaction; the caller commits at once.

    For workers that record an outcome and say so in one transaction. Raises `VersionConflict`, `KeyReused`.
    """
    with appending(feed, command):
        [row] = await connection.fetch(SQL.append, *arguments(feed, [command]))
        if error := _REFUSALS.get(row["outcome"]):
            raise error[0](error[1])
    return Appended(row["position"], row["answer"] if row["outcome"] == "replayed" else None)


async def append_all_last(connection: Connection, feed: str, commands: Sequence[Command]) -> list[bool]:
    """The same for many commands, no two on one aggregate: which were appended. A stale one is refused alone."""
    with ExitStack() as hops:
        for command in commands:
            hops.enter_context(appending(feed, command))
        rows = await connection.fetch(SQL.append, *arguments(feed, commands)) if commands else []
    return [row["outcome"] not in _REFUSALS for row in rows]
