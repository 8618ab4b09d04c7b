"""What the tests of todo-ops share: an operator's place over real databases and a real broker, with things to find."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import nats as nats_py
from click.testing import CliRunner, Result
from feeding import CODEC, context, running
from nats.js import JetStreamContext

from events.broker import Broker
from events.catalog.auth import OtpRequested, UserSignedIn
from events.catalog.feeds import FEEDS
from events.command import Change, new_command
from events.log import Log
from events.postgres import dialer
from events.relay import Relay
from events.streams import apply
from local.fixtures import Database, until
from local.nats import Nats
from ops.main import app

T = TypeVar("T")
PARK = """
insert into events.parked (consumer, feed, seq, key, type, headers, data, reason, detail, stack, attempts)
values (
    'activity', 'TODOS', $1, $2, 'todos.TodoToggled.v1', '{"ce-id": "an id"}', '{"title": "우유"}',
    $3, 'why', 'where', 1
)
"""


class Desk:
    """An operator's place: databases and broker to ask, and todo-ops to ask with."""

    def __init__(self, databases: dict[str, Database], broker: Nats) -> None:
        self.databases = databases
        self.nats = broker
        self.environment = {
            "DATABASE_URLS": ",".join(f"{name}={database.url}" for name, database in databases.items()),
            "NATS_URL": broker.url(),
            "COLUMNS": "200",
        }

    def ask(self, *words: str, **environment: str) -> Result:
        return CliRunner().invoke(app, list(words), env=self.environment | environment)

    def told(self, *words: str, **environment: str) -> Any:
        done = self.ask(*words, "--json", **environment)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return json.loads(done.stdout)

    def run(self, service: str, *calls: tuple[object, ...]) -> list[list[asyncpg.Record]]:
        async def all_of_them() -> list[list[asyncpg.Record]]:
            connection = await asyncpg.connect(self.databases[service].admin_url)
            try:
                return [await connection.fetch(*call) for call in calls]
            finally:
                await connection.close()

        return asyncio.run(all_of_them())

    def park(self, *rows: tuple[int, UUID, str]) -> None:
        self.run("activity", *((PARK, *row) for row in rows))

    def append(self, count: int, *, person: UUID | None = None, feed: str = "AUTH") -> None:
        """So many events into a log of auth, each about a stranger where nobody is named."""
        asyncio.run(self._append(count, person, feed))

    async def _append(self, count: int, person: UUID | None, feed: str) -> None:
        log = Log(feed, dialer(self.databases["auth"].url, application="test"))
        async with running(log.run):
            for _ in range(count):
                who = person or uuid4()
                change = Change(aggregate=uuid4(), expected=0, subject=who, events=[_event(feed, who)])
                await log.append(new_command(CODEC, context(), change))

    def publish(self, last: int, *, feed: str = "AUTH") -> None:
        """Run a relay of auth until its stream ends with a number."""
        asyncio.run(self._publish(last, feed))

    async def _publish(self, last: int, feed: str) -> None:
        broker = Broker(self.nats.url("auth"), name="test")
        relay = Relay(FEEDS[feed], dialer(self.databases["auth"].url, application="test"), broker)
        async with running(broker.run, relay.run), admin(self.nats) as js:
            await until(lambda: _ends(js, feed, last))

    def say(self, count: int, *, person: UUID | None = None) -> None:
        """Append sign-ins, and publish them."""
        self.append(count, person=person)
        [[row]] = self.run("auth", ("select last_seq from events.feed where name = 'AUTH'",))
        self.publish(row["last_seq"])

    def renew(self, feed: str) -> None:
        """Make a stream that is gone."""
        self.on_streams(lambda js: apply(js, FEEDS[feed]))

    def lose_tail(self, *, after: int) -> None:
        """The database of auth comes back from a copy that had AUTH up to a number."""
        self.run(
            "auth",
            ("delete from events.log where feed = 'AUTH' and seq > $1", after),
            ("update events.feed set last_seq = $1 where name = 'AUTH'", after),
        )

    def on_streams(self, act: Callable[[JetStreamContext], Awaitable[T]]) -> T:
        """Do something with JetStream as its administrator."""

        async def do() -> T:
            async with admin(self.nats) as js:
                return await act(js)

        return asyncio.run(do())


def _event(feed: str, who: UUID) -> OtpRequested | UserSignedIn:
    if feed == "OTP":
        return OtpRequested(challenge_id=who, sealed="k1.secret", locale="ko", expires_at=context().time)
    return UserSignedIn(user_id=who, session_id=uuid4())


@asynccontextmanager
async def admin(broker: Nats) -> AsyncIterator[JetStreamContext]:
    client = await nats_py.connect(broker.url(), allow_reconnect=False)
    try:
        yield client.jetstream(timeout=5)
    finally:
        await client.close()


async def make_streams(broker: Nats, *, replicas: int = 1) -> None:
    async with admin(broker) as js:
        for feed in FEEDS.values():
            await apply(js, feed, replicas=replicas)


async def _ends(js: JetStreamContext, stream: str, last: int) -> bool:
    return bool((await js.stream_info(stream)).state.last_seq == last)
