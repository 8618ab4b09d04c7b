"""What the service does by itself: says what is due soon and overdue, purges what was deleted long ago."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
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
from todos.tables import Due, TodoRow, due_alarms, long_deleted, rows_after

EVERY: Final = 1.0
BATCH: Final = 200
KEPT_FOR: Final = timedelta(days=30)
FIRST: Final = Due()

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

    async def run(self) -> None:
        """Ring until cancelled."""
        while True:
            try:
                await self.ring()
            except* (*AWAY, NotNow) as errors:
                log.warning("alarms ring late; they will be tried again", error=repr(errors.exceptions[0])[:80])
            await asyncio.sleep(beat(EVERY))

    async def ring(self, batch: int = BATCH) -> int:
        """Say what is due now, of so many to-dos at a time; of how many something was said.

        Each is looked at once: one whose row is not what its events say (`verify`) would else keep others waiting.
        """
        now, said, after = self._now(), 0, FIRST
        while rows := await due_alarms(self._pool, now, after, batch):
            said += await self._settle(rows, Ring(now))
            after = Due(rows[-1].alarm_at, rows[-1].id)
        return said

    async def purge(self, limit: int) -> int:
        """Let go of up to `limit` to-dos that were deleted 30 days ago (a `Drop` of `events.retention`); how many."""
        return await self._settle(await long_deleted(self._pool, self._now() - KEPT_FOR, limit), "purge")

    async def _settle(self, rows: Sequence[TodoRow], command: Command) -> int:
        async with asyncio.TaskGroup() as group:
            saying = [group.create_task(self._append(row, command)) for row in rows]
        return sum(task.result() for task in saying)

    async def _append(self, row: TodoRow, command: Command) -> bool:
        """Say it, unless somebody came first who changed the to-do or said it already: then nothing is left to say."""
        context = Context(time=self._now(), correlation_id=str(uuid7()), actor=CLOCK)
        events = TODO.decide(command, row)
        after = rows_after(row, events, context.time, row.user_id)
        kind, state = ("todo", after) if after else ("todo_purged", Gone(row.id))
        change = Change(
            aggregate=row.id, expected=row.version, subject=row.user_id, events=events, kind=kind, state=state
        )
        try:
            await self._log.append(new_command(CODEC, context, change))
        except VersionConflict:
            return False
        return True
