"""How everything stands: what is in each log, in its stream, heard by each consumer, waiting and parked."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg
import msgspec
import nats.js.errors

from events.catalog.feeds import FEEDS
from events.feed import Feed
from events.sql import filled, load
from events.work import LEASE
from ops.places import Places, Unreachable

SQL = load("ops")
EVENTS_SQL = load("events")
LATE: Final = 60.0
"""Seconds that anything may wait before somebody should look."""
WORK: Final = {"mailer": "letter", "notifier": "delivery"}


class Listening(msgspec.Struct, frozen=True):
    """A consumer in a feed: the last number it heard, how far behind the log it is (below zero: ahead), what it parked.

    `stuck`: keys that stand still until an operator acts. None: it could not be asked.
    """

    consumer: str
    seq: int | None
    lag_events: int | None
    lag_seconds: float | None
    parked: int | None
    stuck: int | None


class FeedStatus(msgspec.Struct, frozen=True):
    """A feed: the last number in its log and in its stream, and for how long the first unpublished event waits."""

    feed: str
    log: int | None
    stream: int | None
    unpublished_seconds: float | None
    consumers: tuple[Listening, ...]


class WorkStatus(msgspec.Struct, frozen=True):
    """A work table: rows by state, and since when its oldest due row waits."""

    service: str
    table: str
    queued: int
    claimed: int
    sending: int
    oldest_seconds: float


class Status(msgspec.Struct, frozen=True):
    """Everything; `troubles` says in words what somebody should look at."""

    feeds: tuple[FeedStatus, ...]
    work: tuple[WorkStatus, ...]
    troubles: tuple[str, ...]


class _Heard(msgspec.Struct, frozen=True):
    """What the database of a consumer says of one of its feeds."""

    seq: int
    parked: int
    stuck: int


async def status(places: Places) -> Status:
    """Ask everybody at once; what does not answer is a trouble, never an error."""
    look = _Look(places)
    async with asyncio.TaskGroup() as group:
        streams = group.create_task(look.streams())
        heard = {name: group.create_task(look.heard(name)) for name in places.services if places.hears[name]}
        work = [group.create_task(look.work(name, table)) for name, table in WORK.items() if name in places.services]
    told = {name: task.result() for name, task in heard.items()}
    feeds = [
        await look.feed(feed, streams.result().get(feed.name), told)
        for feed in FEEDS.values()
        if feed.service in places.services
    ]
    rows = [row for task in work if (row := task.result())]
    return Status(tuple(feeds), tuple(rows), (*look.troubles, *_troubles(feeds, rows)))


class _Look:
    """One look at everything; gathers what did not answer."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.troubles: list[str] = []

    def _tell(self, trouble: Unreachable) -> None:
        if str(trouble) not in self.troubles:
            self.troubles.append(str(trouble))

    async def streams(self) -> Mapping[str, int]:
        """The last number of every stream that is there."""
        found: dict[str, int] = {}
        try:
            async with self._places.jetstream() as js:
                for name in FEEDS:
                    try:
                        found[name] = (await js.stream_info(name)).state.last_seq
                    except nats.js.errors.NotFoundError:
                        self.troubles.append(f"stream {name} does not exist")
        except Unreachable as error:
            self.troubles.append(str(error))
        return found

    async def heard(self, service: str) -> Mapping[str, _Heard] | None:
        """Where a consumer stands in each of its feeds; None where its database does not answer."""
        try:
            async with self._places.database(service) as connection:
                places = {row["feed"]: row["seq"] for row in await connection.fetch(SQL.checkpoints, service)}
                parked = {row["feed"]: row for row in await connection.fetch(EVENTS_SQL.parked_now, service)}
        except Unreachable as error:
            self._tell(error)
            return None
        empty: Mapping[str, int] = defaultdict(int)
        return {
            feed: _Heard(places.get(feed, 0), parked.get(feed, empty)["events"], parked.get(feed, empty)["stuck"])
            for feed in self._places.hears[service]
        }

    async def work(self, service: str, table: str) -> WorkStatus | None:
        """What waits in a work table; None where its database does not answer."""
        try:
            async with self._places.database(service) as connection:
                query = filled(EVENTS_SQL.work_measure, table=table)
                [row] = await connection.fetch(query, datetime.now(UTC), LEASE)
        except Unreachable as error:
            self._tell(error)
            return None
        return WorkStatus(service, table, row["queued"], row["claimed"], row["sending"], row["oldest"])

    async def feed(self, feed: Feed, stream: int | None, told: Mapping[str, Mapping[str, _Heard] | None]) -> FeedStatus:
        """A feed as its log sees it."""
        names = [name for name in told if feed.name in self._places.hears[name]]
        heard = {name: (told[name] or {}).get(feed.name) for name in names}
        try:
            async with self._places.database(feed.service) as connection:
                unpublished = await connection.fetchrow(SQL.feed, feed.name, stream or 0)
                waits = {
                    name: await connection.fetchrow(SQL.feed, feed.name, at.seq) for name, at in heard.items() if at
                }
        except Unreachable as error:
            self._tell(error)
            unpublished, waits = None, {}
        consumers = tuple(_listening(name, at, waits.get(name)) for name, at in heard.items())
        log = unpublished["last_seq"] if unpublished else None
        waiting = unpublished["waits"] if unpublished and stream is not None else None
        return FeedStatus(feed.name, log, stream, waiting, consumers)


def _listening(name: str, at: _Heard | None, row: asyncpg.Record | None) -> Listening:
    if at is None:
        return Listening(name, None, None, None, None, None)
    behind = row["last_seq"] - at.seq if row else None
    seconds = (row["waits"] or 0.0) if row else None
    return Listening(name, at.seq, behind, seconds, at.parked, at.stuck)


def _troubles(feeds: Sequence[FeedStatus], work: Sequence[WorkStatus]) -> Iterator[str]:
    for feed in feeds:
        if feed.log is not None and feed.stream is not None and feed.stream > feed.log:
            yield f"stream {feed.feed} is ahead of its log: two histories: todo-ops relay check {feed.feed}"
        if (feed.unpublished_seconds or 0) > LATE:
            yield f"events of {feed.feed} wait to be published for {feed.unpublished_seconds:.0f} s"
        for each in feed.consumers:
            yield from _troubles_of(each, feed.feed)
    yield from (
        f"a {row.table} of {row.service} waits for {row.oldest_seconds:.0f} s"
        for row in work
        if row.oldest_seconds > LATE
    )


def _troubles_of(each: Listening, feed: str) -> Iterator[str]:
    if (each.lag_events or 0) < 0:
        yield f"{each.consumer} is ahead of the log of {feed}: two histories: todo-ops relay check {feed}"
    if (each.lag_seconds or 0) > LATE:
        yield f"{each.consumer} is {each.lag_seconds:.0f} s behind in {feed}"
    if each.stuck:
        yield f"{each.consumer} has keys of {feed} that stand still, {each.stuck} of them: todo-ops parked list"
