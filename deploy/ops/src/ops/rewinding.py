"""Sets a consumer back: it hears events again, through its own handlers, which repeat without doubling anything."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from events import acts
from events.acts import By, Rewound
from events.catalog.feeds import FEEDS
from events.errors import BadAct
from events.sql import load
from ops.places import Places

SQL = load("ops")
EVENTS_SQL = load("events")

_CHANGES: Final[Mapping[str, str]] = {
    "todos": "events.erasure: tombstones that it lacks; its eraser then takes what is left of those people",
    "mailer": "contact, and letter: letters that it never wrote and that are not too old, which are sent; "
    "one that is there, or was dropped after it was settled, is not written again",
    "activity": "archive and entry: events that the archive lacks, under its next numbers; figures follow",
    "notifier": "inbox, notification and delivery: what it never told and is not too old, which is pushed; "
    "what is there stays as it is",
}
_TELLS_WAITS: Final = ("todos", "mailer", "notifier")


class Plan(msgspec.Struct, frozen=True):
    """What a rewind from `at` to `to` does and what it does not, in words; `repeats`: events that are heard again."""

    consumer: str
    feed: str
    at: int
    to: int
    repeats: int
    parked: int
    given_up: int
    does: list[str]
    does_not: list[str]


async def plan(places: Places, consumer: str, feed: str, to: int) -> Plan:
    """What would be done; raises `BadAct` for what is none, `Unreachable`."""
    if feed not in (heard := places.hears[consumer]):
        raise BadAct(f"{consumer} does not hear {feed}; it hears {', '.join(heard)}")
    async with places.database(consumer) as connection:
        at = {row["feed"]: row["seq"] for row in await connection.fetch(SQL.checkpoints, consumer)}.get(feed, 0)
        [beyond] = await connection.fetch(SQL.beyond, consumer, feed, to)
    if to >= at:
        raise BadAct(f"{consumer} is at {at:,} in {feed}: rewind to a number below that")
    begins = await _begins(places, feed)
    heard_from = max(to + 1, begins)
    does = [
        f"{consumer} hears {feed} again from {heard_from:,} to {at:,}, in order, through its own handlers",
        f"changes {_CHANGES.get(consumer, 'what its handlers write: ask whoever wrote them')}",
    ]
    if beyond["parked"]:
        does.append(f"forgets {beyond['parked']:,} parked events beyond {to:,}: they are heard again")
    if beyond["given_up"]:
        does.append(f"tries {beyond['given_up']:,} events again that an operator gave up beyond {to:,}")
    if consumer in _TELLS_WAITS:
        does.append("tells how long they waited once more (analytics.pipeline counts them anew)")
    return Plan(
        consumer, feed, at, to, at - heard_from + 1, beyond["parked"], beyond["given_up"], does, _not(consumer, feed)
    )


def _not(consumer: str, feed: str) -> list[str]:
    ours = "sends nothing again: what was mailed, pushed or told once is known by its event"
    return [
        *([ours] if consumer in _CHANGES else []),
        f"publishes nothing again: no other consumer of {feed} hears of it",
        "undoes nothing: rows stay, also those that came of what is no longer in the log",
        "rebuilds no figures: that is `python -m activity rebuild`",
    ]


async def rewind(places: Places, consumer: str, feed: str, to: int, by: By) -> Rewound:
    """Do it; the consumer's own process notices within a second. Raises `BadAct`, `Unreachable`."""
    planned = await plan(places, consumer, feed, to)
    event_id = await _event(places, feed, planned.to)
    async with places.database(consumer) as connection:
        return await acts.rewind(connection, consumer, feed, (to, event_id), by)


async def _begins(places: Places, feed: str) -> int:
    """The first number that the stream was made with; of a feed that forgets, the first that it has."""
    async with places.jetstream() as js:
        info = await js.stream_info(feed)
    return (info.state.first_seq if FEEDS[feed].trimmed else info.config.first_seq) or 1


async def _event(places: Places, feed: str, seq: int) -> UUID | None:
    """The event that the log has under a number; None where there is none to compare."""
    if seq == 0:
        return None
    async with places.database(FEEDS[feed].service) as connection:
        rows = await connection.fetch(EVENTS_SQL.event_ids, feed, seq, seq)
    if not rows and not FEEDS[feed].trimmed:
        raise BadAct(f"the log of {feed} has no {seq:,}: todo-ops verify")
    return rows[0]["id"] if rows else None
