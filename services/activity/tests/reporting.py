"""People's weeks and months over real PostgreSQL, heard and closed at any time. What several test files share."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec

from activity import analytics, explain
from activity.analytics import Analytics
from activity.api import Activity
from activity.consumers import Memory, keep
from activity.figures import Figures
from activity.projections import PROJECTIONS, Projections
from activity.reports import Reports
from api.app import create_app
from api.testing import People, serving
from events.broker import Broker
from events.catalog.activity import ReportReady
from events.catalog.auth import ProfileChanged, UserErased, UserRegistered
from events.catalog.core import Batch, EventsHeard
from events.catalog.feeds import FEEDS
from events.catalog.todos import TodoCreated, TodoOverdue, TodoToggled
from events.catalog.types import TYPES
from events.clock import Clock, system_clock
from events.codec import Codec
from events.envelope import Envelope
from events.health import Health
from events.hearing import Event
from events.ids import uuid7
from events.postgres import open_pool

CODEC = Codec(TYPES)
PUBLISHED = timedelta(milliseconds=7)


def at(text: str) -> datetime:
    """A moment in UTC: `2026-11-30T00:00`."""
    return datetime.fromisoformat(f"{text}:00+00:00")


PARK = """
insert into events.parked (consumer, feed, seq, key, type, headers, data, reason, detail, stack, attempts)
values ('activity', 'TODOS', $1, $2, 'todos.TodoToggled.v1', '{}', '{}', 'rejected', '', '', 1)
"""


class Diary:
    """Activity's database, the handler that fills it, and who closes periods."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.reports = self.another()
        self.clock: Clock = system_clock
        self._seqs = Counter[str]()

    def another(self) -> Reports:
        nowhere = Broker("nats://127.0.0.1:1", name="activity")
        return Reports(self.pool, nowhere, system_clock, heard_as="activity", on_appended=lambda: None)

    async def hear(
        self,
        subject: UUID,
        when: str,
        *events: msgspec.Struct,
        feed: str = "",
        request: str = "r-1",
        correlation: str = "",
    ) -> list[Envelope]:
        """Hear events of one feed as one batch, which the stream took a moment after they were appended.

        They came of a request, which had another id beside its own where a `correlation` is given.
        """
        feed = feed or ("AUTH" if isinstance(events[0], UserRegistered | ProfileChanged | UserErased) else "TODOS")
        heard = [self.event(feed, subject, at(when), data, (correlation or request, request)) for data in events]
        await self.take(heard)
        return [event.envelope for event in heard]

    async def take(self, events: Sequence[Event]) -> None:
        """Hear events, those of each feed as one batch: within each in order, together not."""
        for feed in dict.fromkeys(event.feed for event in events):
            async with self.pool.acquire() as connection, connection.transaction():
                batch = [event for event in events if event.feed == feed]
                await keep(connection, batch, clock=self.clock, memory=Memory())

    def event(
        self, feed: str, subject: UUID, when: datetime, data: msgspec.Struct, came_of: tuple[str, str] = ("r-1", "r-1")
    ) -> Event:
        self._seqs[feed] += 1
        envelope = Envelope(
            id=uuid7(),
            type=CODEC.name_of(data),
            source=f"/{FEEDS[feed].service}",
            subject=subject,
            time=when,
            seq=self._seqs[feed],
            aggregate=uuid4(),
            version=1,
            correlation_id=came_of[0],
            causation_id=came_of[1],
            actor=str(subject),
        )
        return Event(feed, envelope, None, CODEC.encode(data).encode(), when + PUBLISHED)

    async def register(self, when: str, zone: str | None = None) -> UUID:
        person = uuid4()
        told = UserRegistered(user_id=person, sealed_contact="s", locale=None, timezone=zone)
        await self.hear(person, when, told)
        return person

    async def move(self, person: UUID, when: str, zone: str | None) -> None:
        await self.hear(person, when, ProfileChanged(user_id=person, timezone=zone))

    async def create(self, person: UUID, *when: str) -> list[UUID]:
        """A to-do for each moment."""
        ids = [uuid4() for _ in when]
        for id_, moment in zip(ids, when, strict=True):
            await self.hear(person, moment, new_todo(id_))
        return ids

    async def toggle(self, person: UUID, when: str, todo: UUID, *, done: bool = True) -> None:
        await self.hear(person, when, TodoToggled(todo_id=todo, title="a", priority=3, completed=done))

    async def miss(self, person: UUID, when: str) -> None:
        told = TodoOverdue(todo_id=uuid4(), title="a", priority=3, due_at=at(when), due_zone=None)
        await self.hear(person, when, told)

    async def build(self) -> None:
        """Put everything that was heard into the figures."""
        projections = Projections(self.pool)
        for projection in PROJECTIONS:
            await projections.catch_up(projection)

    async def close(self, when: str) -> Sequence[ReportReady]:
        """Close what is due at a moment; what was said about it, weeks first."""
        before = await self.said()
        while await self.reports.close(at(when), 3):
            pass
        return sorted((await self.said())[len(before) :], key=lambda each: each.period, reverse=True)

    async def said(self) -> list[ReportReady]:
        rows = await self.pool.fetch("select data from events.log where type like 'activity.%' order by seq")
        return [msgspec.json.decode(row["data"], type=ReportReady) for row in rows]


def new_todo(id_: UUID) -> TodoCreated:
    return TodoCreated(
        todo_id=id_,
        title="우유 사기",
        description=None,
        priority=3,
        completed=False,
        due_at=None,
        remind_minutes_before=None,
    )


@asynccontextmanager
async def keeping(url: str) -> AsyncIterator[Diary]:
    async with await open_pool(url, application="activity") as pool:
        yield Diary(pool)


@asynccontextmanager
async def answering(url: str, people: People) -> AsyncIterator[tuple[Diary, httpx.AsyncClient]]:
    """A diary, and what activity answers of it over HTTP."""
    async with keeping(url) as diary:
        parts = {"activity": Activity(diary.pool), "analytics": Analytics(Figures(diary.pool), system_clock)}
        routes = (*explain.ROUTES, *analytics.ROUTES)
        app = create_app(title="Activity", routes=routes, health=Health(), guard=people.guard, parts=parts)
        async with serving(app) as http:
            yield diary, http


def heard_by(consumer: str, feed: str, first: int, *waited_ms: int, since: str = "2026-11-28T09:00") -> EventsHeard:
    """A batch of events that were appended at a moment."""
    taken = at(since) + timedelta(milliseconds=waited_ms[0])
    return EventsHeard(consumer=consumer, feed=feed, batches=(Batch(first=first, at=taken, waited_ms=waited_ms),))
