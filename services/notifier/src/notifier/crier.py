"""Tells every process whose inboxes changed: a NOTIFY of its own, after the commit, coalesced."""

import asyncio
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final
from uuid import UUID

from events.postgres import AWAY, Connection, Dial
from notifier.tables import SQL

CHANNEL: Final = "inbox"
TIMEOUT: Final = 3.0
# A payload may have 8,000 bytes, an id takes 37 of them.
PEOPLE: Final = 200


class Crier:
    """Sends what it was told while `run` runs. What is lost with a connection, the readers' poll finds."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._people: set[UUID] = set()
        self._news = asyncio.Event()

    def tell(self, people: Collection[UUID]) -> None:
        """The inboxes of these people changed, and that is committed."""
        if people:
            self._people.update(people)
            self._news.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._news.wait()
            try:
                connection = await self._dial()
            except AWAY:
                await asyncio.sleep(1)
                continue
            try:
                await self._send(connection)
            except AWAY:
                await asyncio.sleep(0.1)
            finally:
                connection.terminate()

    async def _send(self, connection: Connection) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            people, self._people = self._people, set()
            try:
                async with asyncio.timeout(TIMEOUT):
                    await connection.execute(SQL.wake, list(_payloads(people)))
            except AWAY:
                self.tell(people)
                raise


def _payloads(people: Collection[UUID]) -> Iterator[str]:
    left = iter(people)
    while part := list(islice(left, PEOPLE)):
        yield ",".join(map(str, part))
