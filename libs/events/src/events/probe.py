"""Readiness of a process that only reads: whether its database answers."""

import asyncio

import asyncpg

from events.beat import beat
from events.health import Check
from events.postgres import AWAY

EVERY = 2.0
TIMEOUT = 2.0


class Probe:
    """Looks at a pool's database every two seconds while `run` runs."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._state = Check("database", "failed", "not connected yet")

    def check(self) -> Check:
        """ok, or failed while the database cannot be reached or does not answer."""
        return self._state

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._state = await self._look()
            await asyncio.sleep(beat(EVERY))

    async def _look(self) -> Check:
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._pool.execute("select 1")
        except AWAY as error:
            return Check("database", "failed", f"out of reach: {type(error).__name__}")
        return Check("database", "ok")
