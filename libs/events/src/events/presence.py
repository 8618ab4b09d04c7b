"""That a process is here: its session holds a lock, by which others tell what is held by nobody. See docs/adr/0031."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final
from uuid import UUID, uuid4

import asyncpg

from events.postgres import Connection
from events.sql import load

SQL = load("events")
GRACE: Final = 1.0
"""Seconds in which whoever lost the server at the same time comes back, too."""


def new_holder() -> UUID:
    """A name for who holds something, as a UUID of version 8: it is here while a session says so."""
    drawn = uuid4().hex
    return UUID(f"{drawn[:12]}8{drawn[13:]}")


def said(holder: UUID) -> str:
    """What of a holder's name a session says: its first eight digits."""
    return holder.hex[:8]


class Presence:
    """Asks questions over a session of its own that says who is here; `holder` is empty before the first one."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.holder = ""
        self._pool = pool
        self._name = said(new_holder())
        self._held = AsyncExitStack()
        self._session: Connection | None = None

    async def fetch(self, query: str, *args: object) -> Sequence[asyncpg.Record]:
        """The rows of a question; whatever it raises, the next one is asked over a new session."""
        try:
            session = self._session or await self._come()
            rows: Sequence[asyncpg.Record] = await session.fetch(query, *args)
        except BaseException:
            await self.leave()
            raise
        return rows

    async def leave(self) -> None:
        """Be here no more."""
        if self._session is not None:
            with suppress(asyncpg.InterfaceError):  # ended already, and taken back by the pool
                self._session.terminate()
        self._session = None
        await self._held.aclose()

    async def _come(self) -> Connection:
        self._session = await self._held.enter_async_context(self._pool.acquire())
        await self._session.execute(SQL.present, self._name)
        if self.holder:
            await asyncio.sleep(GRACE)
        self.holder = self._name
        return self._session
