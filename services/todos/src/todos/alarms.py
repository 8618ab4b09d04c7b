"""What the service does by itself: says what is due soon and overdue, purges what was deleted long ago."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import structlog

from events.beat import beat
from events.clock import Clock
from events.command import Change, Context, new_command
from events.errors import NotNow, VersionConflict
from events.ids import uuid7
from events.log import Log
from events.postgres import AWAY
from todos.domain import TODO, Command, Ring
from todos.history import CLOCK, CODEC
from todos.tables import FIRST, Place, TodoRow, due_alarms, long_deleted, rows_after

EVERY: Final = 1.0
BATCH: Final = 200
KEPT_FOR: Final = timedelta(days=30)

Refused: TypeAlias = dict[tuple[UUID, int], int]
"""Rows, by id and version, that the log was found to be ahead of; in how many rounds on end."""

log = structlog.get_logger(__name__)


class Gone(msgspec.Struct, frozen=True):
    """Written in place of a purged to-do's row: it is deleted."""

    id: UUID


class Alarms:
    """Rings each second while `run` runs. Several instances are welcome: the log takes each event once."""

    def __init__(self, events: Log, pool: asyncpg.Pool, now: Clock) -> None:
        self._log = events
        self._pool = pool
        self._now = now
        self._unrung: Refused = {}
        self._unpurged: Refused = {}

    async def run(self) -> None:
        """Ring until cancelled."""
        while True:
            try:
                await self.ring()
            except* (*AWAY, NotNow) as errors:
                log.warning("alarms ring late; they will be tried again", error=repr(errors.exceptions[0])[:80])
            await asyncio.sleep(beat(EVERY))

    async def ring(self, batch: int = BATCH) -> int:
        """Say what is due now, of so many to-dos at a time; of how many something was said."""
        until = self._now()
        return await self._round(
            lambda after: due_alarms(self._pool, until, after, batch), lambda: Ring(self._now()), self._unrung
        )

    async def purge(self, limit: int) -> int:
        """Let go of to-dos that were deleted 30 days ago, so many at a time (a `Drop`); how many."""
        before = self._now() - KEPT_FOR
        return await self._round(
            lambda after: long_deleted(self._pool, before, after, limit), lambda: "purge", self._unpurged
        )

    async def _round(
        self,
        due: Callable[[Place], Awaitable[Sequence[tuple[Place, TodoRow]]]],
        command: Callable[[], Command],
        refused: Refused,
    ) -> int:
        """Go once through what is due; of how many something was said.

        A row that its log is ahead of is refused until it changes, and in a restored database there may be many: they
        are not tried again, and keep no other waiting.
        """
        said, after, before = 0, FIRST, dict(refused)
        refused.clear()
        while found := await due(after):
            known = {key: before[key] + 1 for _, row in found if (key := (row.id, row.version)) in before}
            refused |= known
            said += await self._settle(
                [row for _, row in found if (row.id, row.version) not in known], command(), refused
            )
            after, _ = found[-1]
        if stale := list(refused.values()).count(2):  # once alone it may have been changed meanwhile
            log.warning("to-dos are not what their events say; run `python -m todos mend`", count=stale)
        return said

    async def _settle(self, rows: Sequence[TodoRow], command: Command, refused: Refused) -> int:
        async with asyncio.TaskGroup() as group:
            saying = [group.create_task(self._append(row, command, refused)) for row in rows]
        return sum(task.result() for task in saying)

    async def _append(self, row: TodoRow, command: Command, refused: Refused) -> bool:
        """Say it, unless somebody came first who changed the to-do or said it already: then nothing is left to say."""
        context = Context(time=self._now(), correlation_id=str(uuid7()), actor=CLOCK)
        events = TODO.decide(command, row)
        if not events:
            return False
        after = rows_after(row, events, context.time, row.user_id)
        kind, state = ("todo", after) if after else ("todo_purged", Gone(row.id))
        change = Change(
            aggregate=row.id, expected=row.version, subject=row.user_id, events=events, kind=kind, state=state
        )
        try:
            await self._log.append(new_command(CODEC, context, change))
        except VersionConflict:
            refused[row.id, row.version] = 1
            return False
        return True
