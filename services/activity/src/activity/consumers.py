"""What activity hears: everything. Each event is archived; some lead to an entry in a person's log."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final, cast, get_args
from uuid import UUID

import msgspec
from msgspec import UNSET

from activity.domain import ACTIONS, WHOLE, entry_of, known_after, todo_entry, without_seal
from activity.periods import PERIODS, closes_at, opened, zone_of
from activity.tables import (
    Heard,
    Moved,
    NewEntry,
    Person,
    add_archive,
    add_entries,
    archived,
    archived_to,
    choose_zones,
    forget_todos,
    keep_people,
    know_todos,
    known_todos,
    move_periods,
    open_entry_months,
    open_periods,
    periods_of,
)
from events.catalog.activity import Period
from events.catalog.auth import ProfileChanged, UserErased, UserRegistered
from events.catalog.feeds import FEEDS, HEARS
from events.catalog.todos import Event as TodoEvent
from events.catalog.todos import TodoPurged
from events.catalog.types import TYPES
from events.clock import Clock
from events.codec import Codec
from events.envelope import ERASED
from events.erasure import forget, living
from events.hearing import Event, Hears
from events.postgres import Connection

NAME: Final = "activity"
_SHOWN: Final = Codec({name: kind for name, kind in TYPES.items() if kind in ACTIONS})
_TODOS: Final = Codec({name: kind for name, kind in TYPES.items() if kind in get_args(TodoEvent)})
_SAYS_ERASED: Final = Codec(TYPES).name_of_type(UserErased)


class Memory:
    """What this process need not ask again.

    Which months of the log are there, and up to where a feed was archived when a connection first heard it.
    """

    def __init__(self) -> None:
        self.months: set[date] = set()
        self._archived: dict[str, tuple[Connection, int]] = {}

    async def may_have(self, connection: Connection, event: Event) -> bool:
        """Whether the archive may have an event: a consumer that was set back hears over another connection."""
        heard_over, top = self._archived.get(event.feed, (None, 0))
        if heard_over is not connection:
            top = await archived_to(connection, event.feed)
            self._archived[event.feed] = (connection, top)
        return event.envelope.seq <= top


async def keep(connection: Connection, events: Sequence[Event], *, clock: Clock, memory: Memory) -> None:
    """Entries first, the archive last: its counter is locked until the commit. Of the erased only numbers stay.

    What the archive has is passed over: it is heard again, by a consumer that was set back.
    """
    feed = events[0].feed
    if await memory.may_have(connection, events[0]):
        known = await archived(connection, feed, events[0].envelope.seq, events[-1].envelope.seq)
        events = [event for event in events if event.envelope.id not in known]
    if events:
        await _keep(connection, feed, events, clock(), memory)


async def _keep(connection: Connection, feed: str, events: Sequence[Event], heard_at: datetime, memory: Memory) -> None:
    said = [event for event in events if event.envelope.type == _SAYS_ERASED]
    await forget(connection, said)
    shown = await living(connection, events)
    if feed == "AUTH":
        await _know_people(connection, shown)
    entries = await _todo_entries(connection, shown) if feed == "TODOS" else list(_entries(shown))
    if entries:
        await _add(connection, feed, entries, memory.months)
    kept = {event.envelope.seq for event in (*shown, *said)}
    await add_archive(connection, feed, heard_at, [_archived(event, kept) for event in events])


async def _add(connection: Connection, feed: str, entries: Sequence[NewEntry], months: set[date]) -> None:
    await open_entry_months(connection, entries, months)
    if await add_entries(connection, feed, entries):
        months.clear()  # one was dropped meanwhile


async def _know_people(connection: Connection, events: Sequence[Event]) -> None:
    """Who registered, with a first week and month to close, and which zones were chosen since: the last word counts."""
    people: list[Person] = []
    zones: dict[UUID, str | None] = {}
    for event in events:
        data = _SHOWN.decode(event.envelope.type, event.raw)
        if isinstance(data, UserRegistered):
            people.append(Person(data.user_id, data.timezone, event.envelope.time))
        elif isinstance(data, ProfileChanged) and data.timezone is not UNSET:
            zones[data.user_id] = data.timezone
    if people:
        await keep_people(connection, people)
        await open_periods(connection, [_first(person, period) for person in people for period in PERIODS])
    if zones:
        kept = await choose_zones(connection, zones)
        held = await periods_of(connection, kept)
        await move_periods(connection, [Moved(id_, open_, closes_at(open_, zone_of(kept[id_]))) for id_, open_ in held])


def _first(person: Person, period: Period) -> Moved:
    first = opened(period, person.registered_at, person.zone)
    return Moved(person.user_id, first, closes_at(first, person.zone))


async def _todo_entries(connection: Connection, events: Sequence[Event]) -> list[NewEntry]:
    """The entries of to-dos; what is known of these moves on. Raises `Undecodable`."""
    told = [(event, cast("TodoEvent | None", _TODOS.decode(event.envelope.type, event.raw))) for event in events]
    partly = {data.todo_id for _, data in told if data and not isinstance(data, WHOLE)}
    known = await known_todos(connection, partly) if partly else {}
    people: dict[UUID, UUID] = {}
    entries = []
    for event, data in told:
        if data:
            known[data.todo_id] = after = known_after(known.get(data.todo_id), data)
            people[after.id] = event.envelope.subject
            entries.append(_entry(event, *todo_entry(after, data)))
    purged = {data.todo_id for _, data in told if isinstance(data, TodoPurged)}
    await know_todos(connection, [(known[id_], person) for id_, person in people.items() if id_ not in purged])
    await forget_todos(connection, purged)
    return entries


def _entry(event: Event, action: str, details: Mapping[str, Any]) -> NewEntry:
    return NewEntry(event.envelope, action, msgspec.json.encode(details).decode())


def _entries(events: Sequence[Event]) -> Iterator[NewEntry]:
    """Raises `Undecodable` for an event of a shown type that does not fit it."""
    for event in events:
        data = _SHOWN.decode(event.envelope.type, event.raw)
        entry = data and entry_of(data)
        if entry:
            yield _entry(event, *entry)


def _archived(event: Event, kept: Collection[int]) -> Heard:
    raw = without_seal(event.raw) if event.feed == "OTP" else event.raw
    if event.envelope.seq in kept:
        return Heard(event.envelope, raw.decode(), published_at=event.published_at)
    gone = msgspec.structs.replace(event.envelope, type=ERASED)
    return Heard(gone, "{}", sha256(raw).digest(), published_at=event.published_at)


def hears(clock: Clock, wake: Callable[[], None], wake_eraser: Callable[[], None]) -> tuple[Hears, ...]:
    """Who hears what; without types, a handler gets every event of its feed. `wake` calls who reads the archive."""

    def wake_both() -> None:
        wake()
        wake_eraser()

    handle = partial(keep, clock=clock, memory=Memory())
    others = tuple(Hears(FEEDS[feed], handle, on_heard=wake) for feed in HEARS[NAME] if feed != "AUTH")
    return (Hears(FEEDS["AUTH"], handle, on_heard=wake_both, never_held=(UserErased,)), *others)
