"""Events enter a running stack as services say them: into the streams, each feed by its numbers, heard by activity."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final, cast

import asyncpg
import msgspec

from bench.counts import SQL, Unsound
from events.access import Access, connect
from events.catalog.feeds import FEEDS, HEARS
from events.hearing import Event
from events.publisher import Publisher

_WINDOW: Final = 500
_BEHIND: Final = 5_000
"""Events that may be published and not heard: with more, feeds would be heard one after the other."""
_LOOK: Final = 0.02
_QUIET_WITHIN: Final = 300.0


class Feeder:
    """Publishes events in the place of services that are stopped, and sees them heard."""

    def __init__(self, publishers: dict[str, Publisher], activity: asyncpg.Connection) -> None:
        self.published = 0
        self._publishers = publishers
        self._activity = activity

    async def feed(self, events: Iterable[Event]) -> None:
        """Publish events, only so far ahead of activity that feeds are heard beside each other."""
        left = iter(events)
        while part := list(islice(left, _BEHIND // 2)):
            await self.publish(part)
            await self.heard(self.published - _BEHIND)

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish events of any feeds, those of each in their order."""
        feeds: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            row = msgspec.structs.asdict(event.envelope) | {"data": event.raw.decode()}
            feeds.setdefault(event.feed, []).append(row)
        await asyncio.gather(*(self._publish(feed, rows) for feed, rows in feeds.items()))
        self.published += len(events)

    async def _publish(self, feed: str, rows: list[dict[str, Any]]) -> None:
        for at in range(0, len(rows), _WINDOW):
            window = cast("list[asyncpg.Record]", rows[at : at + _WINDOW])
            await self._publishers[feed].publish(window)

    async def heard(self, events: int) -> None:
        """Wait until activity has heard so many; raises `TimeoutError` where that takes far too long."""
        async with asyncio.timeout(_QUIET_WITHIN):
            while await self._activity.fetchval(SQL.month_heard) < events:  # noqa: ASYNC110 - only a look can tell
                await asyncio.sleep(_LOOK)

    async def settled(self) -> None:
        """Wait until all is heard, whoever is erased is, and figures reflect it; raises `TimeoutError`."""
        await self.heard(self.published)
        async with asyncio.timeout(_QUIET_WITHIN):
            while not await self._activity.fetchval(SQL.month_settled):  # noqa: ASYNC110 - only a look can tell
                await asyncio.sleep(_LOOK)


@asynccontextmanager
async def feeding(broker_url: str, activity: asyncpg.Connection) -> AsyncIterator[Feeder]:
    """A feeder over streams in which nothing was said; raises `Unsound` where something was."""
    client = await connect(Access(broker_url), name="feeding")
    try:
        publishers = {feed: Publisher(client, FEEDS[feed]) for feed in HEARS["activity"] if feed != "ACTIVITY"}
        for feed, publisher in publishers.items():
            if (await client.jetstream().stream_info(feed)).state.last_seq:
                raise Unsound(f"stream {feed} is not empty")
            await publisher.open()
        yield Feeder(publishers, activity)
    finally:
        await client.close()
