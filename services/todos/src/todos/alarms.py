"""What the service does by itself: says what is due soon and overdue, purges what was deleted long ago."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
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
from todos.tables import TodoRow, due_alarms, long_deleted, rows_after

EVERY: Final = 1.0
BATCH: Final = 200
KEPT_FOR: Final = timedelta(days=30)

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
                while await self.ring(BATCH) >= BATCH:
                    pass
            except* (*AWAY, NotNow) as errors:
                log.warning("alarms ring late; they will be tried again", error=repr(errors.exceptions[0])[:80])
            await asyncio.sleep(beat(EVERY))

    async def ring(self, limit: int) -> int:
        """Say what is due now of up to `limit` to-dos; how many were looked at."""
        now = self._now()
        return await self._settle(await due_alarms(self._pool, now, limit), Ring(now))

    async def purge(self, limit: int) -> int:
        """Let go of up to `limit` to-dos that were deleted 30 days ago (a `Drop` of `events.retention`)."""
        return await self._settle(await long_deleted(self._pool, self._now() - KEPT_FOR, limit), "purge")

    async def _settle(self, rows: Sequence[TodoRow], command: Command) -> int:
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(self._append(row, command))
        return len(rows)

    async def _append(self, row: TodoRow, command: Command) -> None:
        """Whoever changed the to-do meanwhile, or said it already, has come first: nothing is left to say here."""
        context = Context(time=self._now(), correlation_id=str(uuid7()), actor=CLOCK)
        events = TODO.decide(command, row)
        after = rows_after(row, events, context.time, row.user_id)
        kind, state = ("todo", after) if after else ("todo_purged", Gone(row.id))
        change = Change(
            aggregate=row.id, expected=row.version, subject=row.user_id, events=events, kind=kind, state=state
        )
        with suppress(VersionConflict):
            await self._log.append(new_command(CODEC, context, change))
