"""Tells other processes what changed: a NOTIFY of its own, after the commit, coalesced.

Inside the append's transaction a NOTIFY would serialise every commit of the cluster (docs/adr/0001).
"""

import asyncio
from collections.abc import Collection, Iterator
from itertools import islice

from events.postgres import AWAY, Connection, Dial

TIMEOUT = 3.0
# A payload may have 8,000 bytes; a word is an id, of 36 characters, and its comma.
WORDS = 200


class Notifier:
    """Sends the words it was told, by commas, while `run` runs. Who listens polls, in case one is lost all the same."""

    def __init__(self, channel: str, dial: Dial) -> None:
        self._channel = channel
        self._dial = dial
        self._words: set[str] = set()
        self._news = asyncio.Event()
        self.pid: int | None = None
        """The backend that says it: who listens in this process can tell what was said here."""

    def wake(self) -> None:
        """There is something new in the log."""
        self.tell([""])

    def tell(self, words: Collection[object]) -> None:
        """These changed, and that is committed; ids, at most."""
        if words:
            self._words.update(map(str, words))
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
        self.pid = connection.get_server_pid()
        while True:
            await self._news.wait()
            self._news.clear()
            words, self._words = self._words, set()
            try:
                async with asyncio.timeout(TIMEOUT):
                    query = "select pg_notify($1, payload) from unnest($2::text[]) as payload"
                    await connection.execute(query, self._channel, list(_payloads(words)))
            except AWAY:
                self.tell(words)
                raise


def _payloads(words: Collection[str]) -> Iterator[str]:
    left = iter(words)
    while part := list(islice(left, WORDS)):
        yield ",".join(part)
