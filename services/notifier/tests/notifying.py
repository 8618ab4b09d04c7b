"""The service over real PostgreSQL and NATS, as its users see it. What several test files here share."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import nats as nats_client
from nats.js import JetStreamContext
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.app import create_app
from api.testing import People, serving
from events import streams
from events.broker import Broker
from events.catalog.activity import Figures, ReportReady
from events.catalog.feeds import FEEDS, HEARS, feeds_of
from events.catalog.todos import TodoDueSoon, TodoOverdue, TodoToggled
from events.catalog.types import TYPES
from events.codec import Codec
from events.consumer import Consumer
from events.envelope import Envelope, subject_of, to_headers
from events.eraser import Eraser
from events.erasure import Tombstones
from events.health import Health
from events.ids import uuid7
from events.notify import Notifier
from events.postgres import dialer, open_pool
from events.work import WorkTable
from local.fixtures import Database, until
from local.nats import Nats
from notifier import choosing, devices, phones, sockets
from notifier.api import ROUTES, Notifications
from notifier.consumers import NAME, hears
from notifier.deliveries import Deliveries
from notifier.live import CHANNEL, Live
from notifier.main import export
from notifier.providers import Provider
from notifier.tables import NewNotification, add_notifications, erase_deliveries, erase_inbox, erase_notifications
from notifier.tickets import Tickets

CODEC = Codec(TYPES)
PHONE_KEY = b"0123456789abcdef0123456789abcdef"
DUE = datetime(2099, 12, 1, 9, tzinfo=UTC)


class Watch:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def completed(title: str = "우유 사기") -> TodoToggled:
    return TodoToggled(todo_id=uuid4(), title=title, priority=3, completed=True)


def reopened() -> TodoToggled:
    return TodoToggled(todo_id=uuid4(), title="우유 사기", priority=3, completed=False)


def due_soon(title: str = "우유 사기", zone: str | None = "Asia/Seoul", due_at: datetime = DUE) -> TodoDueSoon:
    return TodoDueSoon(todo_id=uuid4(), title=title, priority=3, due_at=due_at, due_zone=zone)


def overdue(title: str = "우유 사기") -> TodoOverdue:
    return TodoOverdue(todo_id=uuid4(), title=title, priority=3, due_at=DUE, due_zone=None)


def report(user_id: UUID, period: str = "week") -> ReportReady:
    figures = Figures(created=5, completed=4, completion_rate=0.8, streak=2, busiest_hours=(9,), overdue=1)
    start = DUE - timedelta(days=7)
    return ReportReady(
        user_id=user_id, period=period, start=start, end=DUE, timezone="Asia/Seoul", figures=figures, previous=None
    )


@dataclass
class Face:
    """One replica."""

    http: httpx.AsyncClient
    live: Live


@dataclass
class Socket:
    """A client's end."""

    raw: ClientConnection
    hello: dict[str, Any]

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            return json.loads(await self.raw.recv())

    async def numbers(self, count: int) -> list[int]:
        """The numbers of the next notifications; nothing else comes between."""
        frames = [await self.next() for _ in range(count)]
        assert {frame["type"] for frame in frames} <= {"notification"}, frames
        return [frame["notification"]["number"] for frame in frames]

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the end; what comes before is passed over."""
        async with asyncio.timeout(10):
            try:
                while True:
                    await self.raw.recv()
            except ConnectionClosed as end:
                return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


@dataclass
class World:
    """The streams, notifier's database, its consumer and its HTTP face."""

    js: JetStreamContext
    nats: Nats
    database: Database
    pool: asyncpg.Pool
    people: People
    watch: Watch
    tombstones: Tombstones
    web_push: str = "http://push.test"
    sms_per_day: int = 20
    phone_keys: tuple[bytes, ...] = (PHONE_KEY,)
    countries: frozenset[str] = frozenset()
    providers: dict[str, Provider] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    http: httpx.AsyncClient = field(init=False)
    live: Live = field(init=False)

    async def say(self, feed: str, *events: msgspec.Struct, to: UUID, at: datetime | None = None) -> None:
        for data in events:
            self.seqs[feed] = seq = self.seqs.get(feed, 0) + 1
            envelope = Envelope(
                id=uuid7(),
                type=CODEC.name_of(data),
                source=f"/{FEEDS[feed].service}",
                subject=to,
                time=at or self.watch(),
                seq=seq,
                aggregate=uuid4(),
                version=1,
                correlation_id="r-1",
                causation_id="r-1",
                actor=str(to),
            )
            raw = CODEC.encode(data).encode()
            assert (await self.js.publish(subject_of(envelope), raw, headers=to_headers(envelope))).seq == seq

    @asynccontextmanager
    async def hearing(self) -> AsyncIterator[Consumer]:
        """The worker: hears while the block runs."""
        crier = Notifier(CHANNEL, dialer(self.database.url, application=NAME))
        dial, broker = dialer(self.database.url, application=NAME), Broker(self.nats.url(NAME), name=NAME)
        eraser = Eraser(self.pool, broker, feeds_of(NAME), [erase_notifications, erase_deliveries, erase_inbox])
        table = WorkTable("delivery", self.pool, clock=self.watch)
        deliveries = Deliveries(
            pool=self.pool,
            table=table,
            codec=CODEC,
            providers=self.providers,
            clock=self.watch,
            on_settled=lambda: None,
            phone_key=next(iter(self.phone_keys), None),
            sms_per_day=self.sms_per_day,
        )
        consumer = Consumer(NAME, hears(self.watch, crier.tell, table.wake, eraser.wake), dial, broker, CODEC)
        async with running(broker.run, consumer.run, eraser.run, crier.run, deliveries.run):
            yield consumer

    @asynccontextmanager
    async def replica(self) -> AsyncIterator[Face]:
        """A process of the api role."""
        dial = dialer(self.database.url, application=NAME)
        crier = Notifier(CHANNEL, dial)
        live = Live(self.pool, dial, self.watch, lambda person: person.id in self.tombstones, crier)
        app = create_app(
            title="Notifications",
            routes=(
                *(*ROUTES, *sockets.ROUTES, *choosing.ROUTES, *devices.ROUTES, *phones.ROUTES),
                export(self.pool),
            ),
            health=Health(),
            guard=self.people.guard,
            parts={
                "notifications": Notifications(self.pool, self.watch, live.tell),
                "tickets": Tickets(self.pool, self.watch, frozenset({"https://app.example"})),
                "live": live,
                "choosing": choosing.Choosing(self.pool, self.watch),
                "phones": phones.Phones(self.pool, self.watch, self.phone_keys, self.countries),
                "devices": devices.Devices(self.pool, self.watch, ("http://*.localhost", self.web_push), "the key"),
            },
        )
        async with running(live.run, crier.run), serving(app, on_leaving=live.leave) as http:
            yield Face(http, live)

    async def told(self, who: UUID, count: int, title: str = "우유 사기") -> None:
        """Notifications that are simply there, and nobody was woken for."""
        new = [
            NewNotification(
                id=uuid7(),
                user_id=who,
                kind="completion",
                data=CODEC.encode(completed(title)),
                at=self.watch(),
            )
            for _ in range(count)
        ]
        async with self.pool.acquire() as connection:
            await add_notifications(connection, self.watch(), new)

    async def ticket(self, who: UUID, **claims: object) -> str:
        sold = await self.http.post("/notifications/ticket", headers=self.people.headers(who, **claims))
        return str(sold.json()["data"]["ticket"])

    async def address(self, who: UUID, last: int = 0, *, at: httpx.AsyncClient | None = None, **claims: object) -> str:
        base = str((at or self.http).base_url).replace("http", "ws", 1)
        return f"{base}/notifications/ws?ticket={await self.ticket(who, **claims)}&last={last}"

    @asynccontextmanager
    async def socket(self, who: UUID, last: int = 0, **how: Any) -> AsyncIterator[Socket]:
        """A live connection that has been greeted."""
        at, claims = how.pop("at", None), how.pop("claims", {})
        async with connect(await self.address(who, last, at=at, **claims), **how) as raw:
            yield Socket(raw, json.loads(await raw.recv()))

    async def heard(self) -> None:
        """Wait until all that was said is in the inboxes."""
        query = "select feed, seq from events.checkpoint where consumer = $1"

        async def all_of_it() -> bool:
            at = {row["feed"]: row["seq"] for row in await self.pool.fetch(query, NAME)}
            return all(at.get(feed, 0) >= seq for feed, seq in self.seqs.items())

        await until(all_of_it)

    async def get(self, path: str, who: UUID, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=self.people.headers(who) | headers)

    async def post(self, path: str, who: UUID) -> httpx.Response:
        return await self.http.post(path, headers=self.people.headers(who))

    async def inbox(self, who: UUID, query: str = "") -> list[dict[str, Any]]:
        answer = await self.get(f"/notifications/?limit=100{query}", who)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@asynccontextmanager
async def service(
    world: World, stderr: int = asyncio.subprocess.DEVNULL, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m notifier worker`; SIGTERM ends it, unless it was killed before."""
    variables = os.environ | settings | {
        "APP_ENV": "development",
        "DATABASE_URL": world.database.url,
        "NATS_URL": world.nats.url("notifier"),
        "PORT": "0",
        "JWKS_URL": "http://127.0.0.1:1/jwks.json",
        "ISSUER": "http://127.0.0.1:1",
    }  # fmt: skip
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", "worker",
        stdout=asyncio.subprocess.DEVNULL, stderr=stderr, env=variables,
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        await asyncio.wait_for(child.wait(), 10)


@asynccontextmanager
async def running(*tasks: Any) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        started = [group.create_task(task()) for task in tasks]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


@asynccontextmanager
async def world_of(
    database: Database, nats: Nats, *, phone_keys: tuple[bytes, ...] = (PHONE_KEY,), guarded: bool = True
) -> AsyncIterator[World]:
    """`guarded`: whether the guard hears who was erased."""
    admin = await nats_client.connect(nats.url())
    js = admin.jetstream(timeout=2)
    for feed in HEARS[NAME]:
        await streams.apply(js, FEEDS[feed])
    watch = Watch()
    try:
        async with await open_pool(database.url, application=NAME) as pool:
            tombstones = Tombstones(pool)
            people = People(watch, refuse=lambda person: person.id in tombstones)
            world = World(js, nats, database, pool, people, watch, tombstones, phone_keys=phone_keys)
            async with running(*[tombstones.run] * guarded), world.replica() as face:
                world.http, world.live = face.http, face.live
                yield world
    finally:
        await admin.close()
