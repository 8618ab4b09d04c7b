"""What tests of a restore share: a copy of mailer's database, and the way back to it, as an operator goes it."""

from dataclasses import dataclass
from typing import Any

from mailing import Post, registered, running
from test_notices import heard_all

from events.access import Access
from events.acts import By
from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.postgres import dialer
from events.relay import Relay
from local.fixtures import until
from ops.importing import import_tail, plan
from ops.places import Places

ROWS = ("letter", "contact", "preference", "events.checkpoint")
SHOWN = "select id, state, sealed, facts, token, held_until from letter where cause = any ($1) order by id"


@dataclass
class Copy:
    """A copy of mailer's database, taken while no mailer runs: its rows, and its log up to there."""

    post: Post
    last: int

    async def restore(self) -> None:
        """Set the database back to the copy, once the stream has all that was said since."""
        owner = self.post.owner
        await self._relay()
        for nr, table in enumerate(ROWS):
            await owner.execute(f"delete from {table}; insert into {table} table copy_{nr}")
        await owner.execute("delete from events.log where feed = 'MAILER' and seq > $1", self.last)
        await owner.execute("update events.feed set last_seq = $1 where name = 'MAILER'", self.last)

    async def restore_with_its_tail(self) -> None:
        """As an operator does it, before mailer starts again."""
        await self.restore()
        places = Places({"mailer": self.post.database.owner_url}, Access(self.post.server.url()), {})
        planned = await plan(places, "MAILER", lambda *_: None)
        assert "ends what mailer has under way" in planned.does[-1]
        await import_tail(places, "MAILER", By("mina", "restored"), lambda *_: None)

    async def _relay(self) -> None:
        """Publish what the last mailer left: it may have ended before its relay came to it."""
        broker = Broker(self.post.server.url("mailer"), name="test")
        relay = Relay(FEEDS["MAILER"], dialer(self.post.database.url, application="test"), broker)
        async with running(broker.run, relay.run):
            await until(self._is_relayed)

    async def _is_relayed(self) -> bool:
        info = await self.post.auth.client.jetstream(timeout=5).stream_info("MAILER")
        return bool(info.state.last_seq == await _last(self.post))


async def copied(post: Post) -> Copy:
    for nr, table in enumerate(ROWS):
        await post.owner.execute(f"create temp table copy_{nr} as table {table}")
    return Copy(post, await _last(post))


async def _last(post: Post) -> int:
    return int(await post.owner.fetchval("select last_seq from events.feed where name = 'MAILER'"))


async def heard(post: Post) -> None:
    """Somebody new gets a letter, and everything said before was heard."""
    await post.settled(await post.auth.say(registered()), "sent")
    await until(lambda: heard_all(post))


def read_whole(plan: dict[str, Any]) -> set[str]:
    """Which tables a plan reads without an index."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(read_whole(child) for child in plan.get("Plans", [])))
