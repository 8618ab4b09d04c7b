"""When a stack has come to rest: all that was said is heard and shown, all letters are posted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncpg

from bench.counts import SQL, Unsound
from bench.stack import Stack
from events.catalog.feeds import HEARS

_LOOK: Final = 0.2
_WITHIN: Final = 180.0


class Rest:
    """Looks into the database of each service."""

    def __init__(self, databases: dict[str, asyncpg.Connection]) -> None:
        self._databases = databases

    async def ends(self) -> dict[str, int]:
        """How many events each feed has."""
        rows = [row for database in self._databases.values() for row in await database.fetch(SQL.feed_ends)]
        return {row["name"]: row["last_seq"] for row in rows}

    async def reached(self) -> None:
        """Wait for it; raises `Unsound` where it does not come."""
        try:
            async with asyncio.timeout(_WITHIN):
                while lacks := await self._lacks():  # noqa: ASYNC110 - only a look can tell
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            raise Unsound(f"no rest after {_WITHIN:.0f} s: {lacks}") from None

    async def _lacks(self) -> str:
        """What is still to be done; empty: nothing."""
        ends = await self.ends()
        for service, feeds in HEARS.items():
            rows = await self._databases[service].fetch(SQL.checkpoints, service)
            heard = {row["feed"]: row["seq"] for row in rows}
            behind = [feed for feed in feeds if heard.get(feed, 0) < ends[feed]]
            if behind:
                return f"{service} has not heard {', '.join(behind)}"
        if await self._databases["mailer"].fetchval(SQL.letters_due):
            return "letters are due"
        return "" if await self._databases["activity"].fetchval(SQL.month_settled) else "figures are behind"


@asynccontextmanager
async def watching(stack: Stack) -> AsyncIterator[Rest]:
    """Watch a stack while the body runs."""
    async with AsyncExitStack() as leaving:
        databases = {}
        for service in HEARS:
            databases[service] = await stack.connect(service)
            leaving.push_async_callback(databases[service].close)
        yield Rest(databases)
