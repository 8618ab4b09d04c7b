"""What services' tests of a restore share: a copy of a database, and the way back to it, as an operator goes it."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
from feeding import last_seq, running

from events.access import Access
from events.acts import By
from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.postgres import dialer
from events.relay import Relay
from local.fixtures import Database, until
from local.nats import Nats
from ops.importing import import_tail, plan
from ops.places import Places

LAST = "select last_seq from events.feed where name = $1"


@dataclass
class Copy:
    """A service's tables and its log as they were. Nobody writes, or asks for anything, while it is restored."""

    feed: str
    database: Database
    nats: Nats
    owner: asyncpg.Connection
    tables: Sequence[str]
    last: int

    async def restore(self) -> None:
        """The database is the copy again."""
        for table in reversed(self.tables):
            await self.owner.execute(f"delete from {table}")
        for nr, table in enumerate(self.tables):
            await self.owner.execute(f"insert into {table} table copy_{nr}")
        await self.owner.execute("delete from events.log where feed = $1", self.feed)
        await self.owner.execute("insert into events.log select * from copy_log where feed = $1", self.feed)
        await self.owner.execute("update events.feed set last_seq = $1 where name = $2", self.last, self.feed)

    async def restore_with_its_tail(self, told: str) -> None:
        """As an operator does it, once the stream has all that was said since; `told`: what the plan must say."""
        await self.relay()
        await self.restore()
        places = self.places()
        assert told in (await plan(places, self.feed, lambda *_: None)).does[-1]
        await import_tail(places, self.feed, By("mina", "restored"), lambda *_: None)

    def places(self) -> Places:
        """As an operator names them."""
        return Places({FEEDS[self.feed].service: self.database.owner_url}, Access(self.nats.url()), {})

    async def relay(self) -> None:
        """Publish all that the log has: who wrote it may have ended before its relay came to it."""
        last = await self.owner.fetchval(LAST, self.feed)
        broker = Broker(self.nats.url(FEEDS[self.feed].service), name="test")
        relay = Relay(FEEDS[self.feed], dialer(self.database.url, application="test"), broker)

        async def is_relayed() -> bool:
            return await last_seq(self.nats, self.feed) == last

        async with running(broker.run, relay.run):
            await until(is_relayed)


async def copied(feed: str, database: Database, nats: Nats, owner: asyncpg.Connection, tables: Sequence[str]) -> Copy:
    """Copy a database's tables, those first that others point at, and its log; `owner` keeps the copy."""
    for nr, table in enumerate(tables):
        await owner.execute(f"create temp table copy_{nr} as table {table}")
    await owner.execute("create temp table copy_log as table events.log")
    return Copy(feed, database, nats, owner, tables, await owner.fetchval(LAST, feed))
