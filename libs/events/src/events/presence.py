"""That a process is here: its session holds a lock, by which others tell whose claims are dead. See docs/adr/0031."""

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from secrets import randbits

import asyncpg

from events.postgres import Connection
from events.sql import load

SQL = load("events")


class Presence:
    """Asks questions over a session of its own that says who is here; `holder` is empty while there is none."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.holder = ""
        self._name = f"{randbits(32):08x}"
        self._pool = pool
        self._held = AsyncExitStack()
        self._session: Connection | None = None

    async def fetch(self, query: str, *args: object) -> Sequence[asyncpg.Record]:
        """The rows of a question; where its session ends, the next one is asked over another."""
        try:
            session = self._session or await self._come()
            rows: Sequence[asyncpg.Record] = await session.fetch(query, *args)
        except Exception as error:
            if not isinstance(error, asyncpg.PostgresError) or _is_over(self._session):
                await self.leave()
            raise
        return rows

    async def leave(self) -> None:
        """Be here no more."""
        self.holder = ""
        if self._session is not None:
            with suppress(asyncpg.InterfaceError):  # ended already, and taken back by the pool
                self._session.terminate()
        self._session = None
        await self._held.aclose()

    async def _come(self) -> Connection:
        self._session = session = await self._held.enter_async_context(self._pool.acquire())
        await session.execute(SQL.work_present, self._name)
        self.holder = self._name
        return session


def _is_over(session: Connection | None) -> bool:
    try:
        return session is None or session.is_closed()
    except asyncpg.InterfaceError:  # ended, and taken back by the pool
        return True
