"""A consumer hears feeds in order, each event exactly once in its own Postgres.

Its position lives in the transaction of its effect and is fenced by arithmetic; what the server remembers of it is
never trusted. One instance is active, others stand by. See docs/adr/0002.
"""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg
import structlog

from events.broker import Broker
from events.clock import Clock
from events.codec import Codec
from events.errors import LostFence
from events.health import Check
from events.hearing import Hears
from events.lease import Lease
from events.listener import Listener
from events.postgres import Dial
from events.redriver import Redriver
from events.sql import load

SQL = load("events")

log = structlog.get_logger(__name__)


async def heard_up_to(pool: asyncpg.Pool, consumer: str, feed: str, person: UUID | None = None) -> int:
    """The number up to which a consumer has applied a feed: where a person is named, all that is about them."""
    seq: int = await pool.fetchval(SQL.checkpoint_read, consumer, feed, person)
    return seq


class Consumer:
    """Hears several feeds under one name and one lease while `run` runs.

    Where a `clock` is given, it notes how long events waited; `Hearings` tells of that.
    """

    def __init__(
        self,
        name: str,
        hears: Sequence[Hears],
        dial: Dial,
        broker: Broker,
        codec: Codec,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._lease = Lease(f"consumer {name}", dial)
        self._listeners = [Listener(name, line, dial, broker, codec, clock=clock) for line in hears]
        self._redriver = Redriver(name, {listener.feed: listener.applier for listener in self._listeners}, dial)
        self._active = False

    def checks(self) -> list[Callable[[], Check]]:
        """One check a feed, and one of what is parked; all ok on a standby."""
        return [*(listener.check for listener in self._listeners), self._redriver.check]

    async def run(self) -> None:
        """Stand by, take over, hear; back to standing by when another instance moved on."""
        try:
            while True:
                self._stand_by(None)
                epoch = await self._lease.acquire(tell=self._stand_by)
                log.info("consumer is active", consumer=self.name, epoch=epoch)
                try:
                    await self._hear(epoch)
                except* LostFence as lost:
                    log.warning("consumer stands by", consumer=self.name, why=str(lost.exceptions[0]))
        finally:
            await self._lease.leave()

    def _stand_by(self, trouble: BaseException | None) -> None:
        for listener in self._listeners:
            listener.stand_by(trouble)

    async def _hear(self, epoch: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lease.keep(epoch))
            group.create_task(self._redriver.run())
            for listener in self._listeners:
                group.create_task(listener.run(epoch))
                group.create_task(listener.lag.run())
