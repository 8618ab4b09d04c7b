"""The queries of `sql/`, one typed function each."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from msgspec.structs import astuple

from activity.domain import DOINGS, KnownTodo
from activity.periods import Open, Span, Tally, zone_of
from events.clock import Clock
from events.envelope import Envelope
from events.postgres import Connection
from events.sql import load

SQL = load("activity")


class Heard(msgspec.Struct, frozen=True):
    """An event as the archive keeps it; `data` is JSON, `sha256` the hash of what it was where it is erased.

    `published_at`: when the stream took it.
    """

    envelope: Envelope
    data: str
    sha256: bytes | None = None
    published_at: datetime | None = None


class NewEntry(msgspec.Struct, frozen=True):
    """An entry that an event leads to, in the log of the event's subject; `details` is JSON."""

    envelope: Envelope
    action: str
    details: str


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `entry`; `feed` and `seq` say where its event is."""

    id: UUID
    user_id: UUID
    action: str
    details: msgspec.Raw
    at: datetime
    feed: str
    seq: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are asked for; None: any. From `since` to before `until`."""

    action: str | None = None
    todo_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


class Person(msgspec.Struct, frozen=True):
    """Whose periods are closed; `timezone` as chosen, None for the default."""

    user_id: UUID
    timezone: str | None
    registered_at: datetime

    @property
    def zone(self) -> ZoneInfo:
        """Where their days begin."""
        return zone_of(self.timezone)


class Due(msgspec.Struct, frozen=True):
    """A person's open period that is to be closed."""

    person: Person
    open: Open


class Moved(msgspec.Struct, frozen=True):
    """A person's open period, and when it is due."""

    user_id: UUID
    open: Open
    due_at: datetime


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of the log ends."""

    at: datetime
    id: UUID


TOP: Final = Place(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))

_ARCHIVED: Final = (
    "seq",
    "id",
    "type",
    "subject",
    "aggregate",
    "version",
    "time",
    "correlation_id",
    "causation_id",
    "actor",
    "traceparent",
)
_ARCHIVED_AS: Final = tuple({"id": "event_id"}.get(name, name) for name in _ARCHIVED)


async def add_archive(connection: Connection, feed: str, heard_at: datetime, events: Sequence[Heard]) -> None:
    """Archive a batch of one feed in the order heard. Last in its transaction: it holds the counter row."""
    counted = await connection.fetchrow(SQL.count_archive, len(events), heard_at)
    assert counted is not None  # noqa: S101 - the counter is one row
    columns = _columns([event.envelope for event in events], _ARCHIVED)
    numbers, heard = range(counted["first"], counted["first"] + len(events)), repeat(counted["heard_at"])
    rest = ((event.data, event.sha256, event.published_at) for event in events)
    # COPY: arrays for `unnest` take the client three times as long to encode
    await connection.copy_records_to_table(
        "archive",
        columns=("number", "feed", "heard_at", *_ARCHIVED_AS, "data", "sha256", "published_at"),
        records=[
            (number, feed, at, *said, *more)
            for number, at, said, more in zip(numbers, heard, zip(*columns, strict=True), rest, strict=False)
        ],
    )


async def archived(connection: Connection, feed: str, first: int, last: int) -> frozenset[UUID]:
    """The ids of what the archive has of a feed from one number to another."""
    return frozenset(row["event_id"] for row in await connection.fetch(SQL.archived, feed, first, last))


async def archived_to(connection: Connection, feed: str) -> int:
    """The last number of a feed that the archive has; 0 for none."""
    return int(await connection.fetchval(SQL.archived_to, feed))


async def open_entry_months(connection: Connection, entries: Sequence[NewEntry], known: set[date]) -> None:
    """Make the months of entries, before any is added; asks of none that is `known`, and puts there those it found.

    Not those that it made: they are there once the transaction is committed.
    """
    months = {entry.envelope.time.astimezone(UTC).date().replace(day=1) for entry in entries} - known
    if months:
        known.update(await connection.fetchval(SQL.open_entry_months, list(months)))


async def add_entries(connection: Connection, feed: str, entries: Sequence[NewEntry]) -> int:
    """Add entries from events of one feed; how many found no month."""
    envelopes = [entry.envelope for entry in entries]
    seqs, ids, subjects, times = _columns(envelopes, ("seq", "id", "subject", "time"))
    actions, details = [entry.action for entry in entries], [entry.details for entry in entries]
    return int(await connection.fetchval(SQL.add_entries, feed, seqs, ids, subjects, actions, details, times))


async def known_todos(connection: Connection, ids: Collection[UUID]) -> dict[UUID, KnownTodo]:
    """What is known of some to-dos."""
    rows = await connection.fetch(SQL.known_todos, list(ids))
    return {row["id"]: KnownTodo(**row) for row in rows}


async def know_todos(connection: Connection, known: Sequence[tuple[KnownTodo, UUID]]) -> None:
    """Keep what is known of to-dos, each with its person."""
    names = ("title", "priority", "completed")
    columns = [[getattr(todo, name) for todo, _ in known] for name in names]
    await connection.execute(SQL.know_todos, [todo.id for todo, _ in known], [person for _, person in known], *columns)


async def forget_todos(connection: Connection, ids: Collection[UUID]) -> None:
    """Forget purged to-dos."""
    if ids:
        await connection.execute(SQL.forget_todos, list(ids))


async def list_entries(pool: asyncpg.Pool, user_id: UUID, after: Place, wanted: Wanted, limit: int) -> list[EntryRow]:
    """A person's entries after a place (`TOP`: from the first), newest first."""
    return _entry_rows(await pool.fetch(SQL.list_entries, user_id, *_page(after, wanted, limit)))


async def list_all_entries(
    pool: asyncpg.Pool, user_id: UUID | None, after: Place, wanted: Wanted, limit: int
) -> list[EntryRow]:
    """Everybody's entries (None), or one person's, after a place (`TOP`: from the first), newest first."""
    return _entry_rows(await pool.fetch(SQL.list_all_entries, user_id, *_page(after, wanted, limit)))


def _page(after: Place, wanted: Wanted, limit: int) -> tuple[object, ...]:
    return after.at, after.id, limit, wanted.action, wanted.todo_id, wanted.since, wanted.until


def _entry_rows(rows: Sequence[asyncpg.Record]) -> list[EntryRow]:
    return [EntryRow(**{**row, "details": msgspec.Raw(row["details"].encode())}) for row in rows]


async def open_months(pool: asyncpg.Pool, clock: Clock, _: int) -> int:
    """Make months for the entries that come next (a `Drop` that drops nothing)."""
    await pool.execute(SQL.open_months, clock())
    return 0


async def drop_months(pool: asyncpg.Pool, clock: Clock, days: int, _: int) -> int:
    """Drop the months of entries that were over so many days ago; how many."""
    return int(await pool.fetchval(SQL.drop_months, clock() - timedelta(days=days)))


async def erase_entries(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Take away up to so many entries of an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_entries, person_id, limit))


async def erase_known_todos(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Forget up to so many to-dos of an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_known_todos, person_id, limit))


async def erase_archive(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Erase up to so much of what the archive holds of a person; how much."""
    return int(await pool.fetchval(SQL.erase_archive, person_id, limit))


async def keep_people(connection: Connection, people: Sequence[Person]) -> None:
    """Keep who registered; those who are there stay as they are."""
    names = Person.__struct_fields__
    await connection.execute(SQL.keep_people, *([getattr(each, name) for each in people] for name in names))


async def choose_zones(connection: Connection, zones: Mapping[UUID, str | None]) -> dict[UUID, str | None]:
    """Keep the zones that people chose; returns what is kept of those who are known."""
    rows = await connection.fetch(SQL.choose_zones, list(zones), list(zones.values()))
    return {row["user_id"]: row["timezone"] for row in rows}


async def open_periods(connection: Connection, opened: Sequence[Moved]) -> None:
    """Open people's first periods; those who have some keep them."""
    await connection.execute(SQL.open_periods, *_columns_of(opened))


async def periods_of(connection: Connection, people: Collection[UUID]) -> list[tuple[UUID, Open]]:
    """The open periods of people, held until the transaction ends."""
    return [(row["user_id"], _open(row)) for row in await connection.fetch(SQL.periods_of, list(people))]


async def move_periods(connection: Connection, moved: Sequence[Moved]) -> None:
    """Put these in the places of the periods that their people have open."""
    await connection.execute(SQL.move_periods, *_columns_of(moved))


async def is_due(pool: asyncpg.Pool, now: datetime) -> bool:
    """Whether a period is to be closed."""
    return bool(await pool.fetchval(SQL.is_due, now))


async def due_periods(connection: Connection, now: datetime, limit: int, *, heard_as: str) -> list[Due]:
    """Up to so many periods to close, held until the transaction ends.

    Without those that somebody else holds, and those of people of whom consumer `heard_as` has something parked.
    """
    rows = await connection.fetch(SQL.due_periods, now, limit, heard_as)
    return [Due(Person(row["user_id"], row["timezone"], row["registered_at"]), _open(row)) for row in rows]


async def tally(connection: Connection, spans: Sequence[tuple[Person, Span]]) -> list[Tally]:
    """What people did in spans of time, by the days and hours of their zones."""
    people, zones = [person.user_id for person, _ in spans], [person.zone.key for person, _ in spans]
    bounds = ([getattr(span, name) for _, span in spans] for name in ("since", "until", "last_day"))
    rows = await connection.fetch(SQL.tally, people, zones, *bounds, list(DOINGS))
    return [Tally(**{**row, "busiest_hours": tuple(row["busiest_hours"])}) for row in rows]


async def erase_person(pool: asyncpg.Pool, person_id: UUID, _: int) -> int:
    """Drop an erased person's zone and open periods; how many."""
    return int(await pool.fetchval(SQL.erase_person, person_id))


async def erase_projections(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Drop up to so many rows of each projection that tell of an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_projections, person_id, limit))


def _columns(envelopes: Sequence[Envelope], names: Sequence[str]) -> list[Sequence[Any]]:
    """Columns by their names, of one envelope at least."""
    columns = dict(zip(Envelope.__struct_fields__, zip(*map(astuple, envelopes), strict=True), strict=True))
    return [columns[name] for name in names]


def _open(row: asyncpg.Record) -> Open:
    return Open(row["period"], row["first_day"], row["since"])


def _columns_of(moved: Sequence[Moved]) -> list[list[Any]]:
    columns = [[getattr(each.open, name) for each in moved] for name in ("period", "first_day", "since")]
    return [[each.user_id for each in moved], *columns, [each.due_at for each in moved]]
