"""Reads inboxes for live connections: whoever is woken together is answered by one question, in turn.

A question each would keep each waiting for a connection of the pool, where those that come late are served first.
"""

import asyncio
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from events.postgres import AWAY
from notifier.tables import News, news

BATCH: Final = 100
"""Notifications of one person in one answer."""
_TOGETHER: Final = 50


class _Asked(Struct, frozen=True, eq=False):
    user_id: UUID
    after: int
    answer: asyncio.Future[News]


class Reader:
    """Answers while `run` runs."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._waiting: list[_Asked] = []
        self._asked = asyncio.Event()

    async def news(self, user_id: UUID, after: int) -> News:
        """What a person's inbox holds after a number, `BATCH` at most; raises one of `AWAY`."""
        asked = _Asked(user_id, after, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        self._asked.set()
        return await asked.answer

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._asked.wait()
            now, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            if not self._waiting:
                self._asked.clear()
            now = [each for each in now if not each.answer.done()]  # who was cut off asks no more
            try:
                found = await news(self._pool, [(each.user_id, each.after) for each in now], BATCH)
            except AWAY as error:
                for each in now:
                    if not each.answer.done():
                        each.answer.set_exception(ConnectionError(type(error).__name__))
                continue
            for each, answer in zip(now, found, strict=True):
                if not each.answer.done():
                    each.answer.set_result(answer)
