"""Drops what must not outlive its purpose: letters with codes from the log, dead challenges, idle counters."""

import asyncio

import asyncpg
import structlog

from auth import tables
from events.clock import Clock

EVERY = 60.0
BATCH = 1000

log = structlog.get_logger(__name__)


class Retention:
    """Each minute, in small batches, so that nobody waits for it."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def run(self) -> None:
        """Drop until cancelled."""
        while True:
            try:
                await self.drop()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("nothing was dropped; it will be tried again", error=type(error).__name__)
            await asyncio.sleep(EVERY)

    async def drop(self) -> None:
        """Drop everything that is due now."""
        while await tables.trim_otp(self._pool, BATCH) == BATCH:
            pass
        while await tables.drop_stale(self._pool, self._clock(), BATCH) >= BATCH:
            pass
