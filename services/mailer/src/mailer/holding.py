"""Letters that are held until a moment: they become due then, several completions of a person as one."""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg
import structlog

from events.beat import beat
from events.clock import Clock
from events.health import Check
from events.postgres import AWAY
from mailer.tables import release

EVERY: Final = 1.0
# Everybody's quiet hours end at one minute: what one statement frees must stay far under its time limit.
BATCH: Final = 1000
_OK: Final = Check("held letters", "ok")

log = structlog.get_logger(__name__)


class Holding:
    """Makes due what was held while `run` runs; `wake` calls the workers."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._clock = clock
        self._wake = wake
        self._state = _OK

    def check(self) -> Check:
        """ok, or late while letters stay held although their time has come."""
        return self._state

    async def run(self) -> None:
        """Each second: make due what was held until now, batch by batch."""
        while True:
            try:
                while await release(self._pool, self._clock(), BATCH):
                    self._wake()
                self._state = _OK
            except AWAY as error:
                self._state = Check(_OK.name, "late", f"letters are held for longer: {type(error).__name__}")
                log.warning("letters are held for longer", error=type(error).__name__)
            await asyncio.sleep(beat(EVERY))
