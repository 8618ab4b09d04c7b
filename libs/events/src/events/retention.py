"""Drops what must not outlive its purpose, in small batches, so that nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import asyncpg
import structlog
from prometheus_client import Counter

from events.errors import NotNow
from events.postgres import AWAY
from events.sql import load

SQL = load("events")
EVERY = 60.0
BATCH = 1000

DROPPED: Final = Counter("todo_dropped_rows_total", "Rows dropped because they outlived their purpose", ["what"])

log = structlog.get_logger(__name__)

Drop: TypeAlias = Callable[[int], Awaitable[int]]
"""Drops up to so many rows that are due, in a transaction of its own; how many."""


class Retention:
    """Drops each minute while `run` runs; `drops` are named for what they drop, and counted under that name."""

    def __init__(self, drops: Mapping[str, Drop]) -> None:
        self._drops = drops
        for what in drops:
            DROPPED.labels(what)  # a rate needs the zero before the first row

    async def run(self) -> None:
        """Drop until cancelled."""
        while True:
            try:
                await self.drop()
            except* (*AWAY, NotNow):  # a drop may append, and many at once; it was told of
                pass
            await asyncio.sleep(EVERY)

    async def drop(self) -> None:
        """Drop everything that is due now. A drop that fails keeps no other waiting; raises all errors as a group."""
        errors: list[Exception] = []
        for what, drop in self._drops.items():
            try:
                await self._drop(what, drop)
            except Exception as error:  # noqa: BLE001 - raised with the others
                errors.append(error)
                log.warning("not everything was dropped; it will be tried again", what=what, error=type(error).__name__)
        if errors:
            raise ExceptionGroup("not everything was dropped", errors)

    async def _drop(self, what: str, drop: Drop) -> None:
        dropped = BATCH
        while dropped >= BATCH:
            dropped = await drop(BATCH)
            DROPPED.labels(what).inc(dropped)


async def drop_answers(pool: asyncpg.Pool, limit: int) -> int:
    """Drop kept answers whose Idempotency-Keys have expired (a `Drop`)."""
    return int(await pool.fetchval(SQL.idempotency_drop, limit))
