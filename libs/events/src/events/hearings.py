"""Tells in a service's own feed what its consumer heard, and how long that had waited: see docs/adr/0017."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import asyncpg
import structlog

from events.beat import beat
from events.catalog import core
from events.catalog.core import Batch, EventsHeard
from events.clock import Clock
from events.codec import Codec
from events.command import Change, Context, new_command
from events.errors import NotNow
from events.ids import uuid7
from events.log import append_last
from events.postgres import AWAY
from events.sql import load

SQL = load("events")
EVERY: Final = 5.0
AT_ONCE: Final = 20
"""Batches an event tells of at most: with 500 events each it has about 100 kB, and a window of such fits in memory."""
_CODEC: Final = Codec(core.TYPES)

log = structlog.get_logger(__name__)


class Hearings:
    """Tells in `feed` what was heard while `run` runs; `on_told` wakes the relay."""

    def __init__(self, pool: asyncpg.Pool, feed: str, clock: Clock, *, on_told: Callable[[], None]) -> None:
        self._pool = pool
        self._feed = feed
        self._clock = clock
        self._on_told = on_told

    async def run(self) -> None:
        """Tell every five seconds until cancelled; what could not be told is told later."""
        while True:
            try:
                while await self.tell() == AT_ONCE:
                    pass
            except (*AWAY, NotNow) as error:
                log.warning("what was heard is told later", error=type(error).__name__)
            await asyncio.sleep(beat(EVERY))

    async def tell(self) -> int:
        """Tell of the oldest batches that nobody was told of; how many these were."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL.hearings_take, AT_ONCE)
            if rows:
                context = Context(time=self._clock(), correlation_id=str(uuid7()), actor="system")
                await append_last(connection, self._feed, new_command(_CODEC, context, *_changes(rows)))
        if rows:
            self._on_told()
        return len(rows)


def _changes(rows: Sequence[asyncpg.Record]) -> Iterator[Change]:
    """An event a feed. It is about nobody and changes nothing: each is an aggregate of its own."""
    heard: dict[tuple[str, str], list[Batch]] = defaultdict(list)
    for row in rows:
        batch = Batch(first=row["first_seq"], at=row["at"], waited_ms=tuple(row["waited_ms"]))
        heard[row["consumer"], row["feed"]].append(batch)
    for (consumer, feed), batches in heard.items():
        id_ = uuid7()
        event = EventsHeard(consumer=consumer, feed=feed, batches=tuple(batches))
        yield Change(aggregate=id_, expected=0, subject=id_, events=[event])
