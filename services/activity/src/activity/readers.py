"""Who reads figures by SQL has time limits, which a session may lift for itself: what lasts all the same is ended."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from activity.tables import SQL
from events.beat import beat
from events.postgres import AWAY

EVERY: Final = 5.0
LONGEST: Final = timedelta(seconds=150)
"""More than the transaction_timeout of the role `analyst`. An old snapshot keeps dead rows, which slow writers down."""

log = structlog.get_logger(__name__)


class Readers:
    """Looks at the readers' transactions every few seconds while `run` runs."""

    def __init__(self, pool: asyncpg.Pool, longest: timedelta = LONGEST) -> None:
        self._pool = pool
        self._longest = longest

    async def run(self) -> None:
        """End what lasts too long, until cancelled."""
        while True:
            with suppress(*AWAY):
                if ended := await self.end_overdue():
                    log.warning("readers ended", sessions=ended)
            await asyncio.sleep(beat(EVERY))

    async def end_overdue(self) -> int:
        """End the sessions whose transaction lasts too long; how many."""
        ended: int = await self._pool.fetchval(SQL.end_overdue, self._longest)
        return ended
