"""Looks for a person's entries in activity's database, from outside."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Final
from uuid import UUID

import asyncpg

from bench.counts import SQL, Unsound

_PAUSE: Final = 0.001
_SLACK: Final = timedelta(seconds=0.5)
_OVERTIME: Final = 60.0


class Looks:
    """Reads a person's entries again and again; one counts as seen when the read that found it has ended."""

    def __init__(self, activity: asyncpg.Connection, person: UUID) -> None:
        self.seen: dict[int, float] = {}
        self.gaps: list[float] = []
        self._activity = activity
        self._person = person

    async def run(self) -> None:
        """Look until cancelled. Entries come in the order of their numbers, their times only nearly so."""
        since, last = datetime.now(UTC) - _SLACK, 0
        while True:
            began = perf_counter()
            rows = await self._activity.fetch(SQL.entries_after, self._person, since, last)
            now = perf_counter()
            for seq, at in rows:
                self.seen[seq] = now
                since, last = max(since, at - _SLACK), max(last, seq)
            await asyncio.sleep(_PAUSE)
            self.gaps.append(perf_counter() - began)


async def until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait for a condition; raises `Unsound` where it does not come true within a minute."""
    try:
        async with asyncio.timeout(_OVERTIME):
            while not holds():  # noqa: ASYNC110 - many tasks' doing, looked at seldom
                await asyncio.sleep(20 * _PAUSE)
    except TimeoutError:
        raise Unsound(otherwise) from None
