"""Tells a relay in another process of new events: a NOTIFY of its own, after the commit, coalesced.

Inside the append's transaction a NOTIFY would serialise every commit of the cluster (docs/adr/0001).
"""

import asyncio

from events.postgres import AWAY, Connection, Dial

TIMEOUT = 3.0


class Notifier:
    """Sends one NOTIFY for all the wake-ups since the last one. A lost one costs only the relay's next poll."""

    def __init__(self, channel: str, dial: Dial) -> None:
        self._channel = channel
        self._dial = dial
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There is something new in the log."""
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
            async with asyncio.timeout(TIMEOUT):
                await connection.execute("select pg_notify($1, '')", self._channel)
