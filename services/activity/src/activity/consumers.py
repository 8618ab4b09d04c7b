"""What activity hears: everything. Each event is archived; some lead to an entry in a person's log."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from activity.domain import ACTIONS, entry_of, without_seal
from activity.tables import Heard, NewEntry, add_archive, add_entries
from events.catalog.feeds import FEEDS, HEARS
from events.catalog.types import TYPES
from events.clock import Clock
from events.codec import Codec
from events.hearing import Event, Hears
from events.postgres import Connection

NAME: Final = "activity"
_SHOWN: Final = Codec({name: kind for name, kind in TYPES.items() if kind in ACTIONS})


async def keep(connection: Connection, events: Sequence[Event], *, clock: Clock) -> None:
    """Entries first, the archive last: its counter is locked until the commit."""
    feed = events[0].feed
    entries = list(_entries(events))
    if entries:
        await add_entries(connection, feed, entries)
    await add_archive(connection, feed, clock(), [_archived(event) for event in events])


def _entries(events: Sequence[Event]) -> Iterator[NewEntry]:
    """Raises `Undecodable` for an event of a shown type that does not fit it."""
    for event in events:
        data = _SHOWN.decode(event.envelope.type, event.raw)
        entry = data and entry_of(data)
        if entry:
            action, details = entry
            yield NewEntry(event.envelope, action, msgspec.json.encode(details).decode())


def _archived(event: Event) -> Heard:
    raw = without_seal(event.raw) if event.feed == "OTP" else event.raw
    return Heard(event.envelope, raw.decode())


def hears(clock: Clock) -> tuple[Hears, ...]:
    """Who hears what; without types, a handler gets every event of its feed."""
    return tuple(Hears(FEEDS[feed], partial(keep, clock=clock)) for feed in HEARS[NAME])
