"""What an operator does: look at parked events, redrive, discard; rewind. Each act is itself kept, with who and why.

Plain SQL on the consumer's database: the consumer's own process tries again what is due. See docs/adr/0019.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from events.errors import BadAct
from events.parking import Reason
from events.postgres import Connection
from events.sql import load

SQL = load("events")
What = Literal["rewind", "import", "abandon"]
_TEXT_MAX: Final = 1000
_SLOWEST: Final = 0.01
_FASTEST: Final = 100_000


class Chosen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which parked events of a consumer; None: any. An act is about those of them that are the first of their keys."""

    feed: str | None = None
    seq: int | None = None
    key: UUID | None = None
    reason: Reason | None = None

    @property
    def terms(self) -> tuple[str | None, int | None, UUID | None, Reason | None]:
        """As the queries take them."""
        return (self.feed, self.seq, self.key, self.reason)


class Act(msgspec.Struct, frozen=True):
    """What was asked for: the act's id, and the events that are tried first, or that were given up."""

    id: UUID
    events: int


class Rewound(msgspec.Struct, frozen=True):
    """Where a consumer stood before, and what it had parked or an operator given up beyond that: it is heard again."""

    before: int
    parked: int
    given_up: int


class By(msgspec.Struct, frozen=True):
    """Who acts, and why: both are kept for ever."""

    who: str
    why: str


async def count(connection: Connection, consumer: str, chosen: Chosen) -> Sequence[asyncpg.Record]:
    """What an act would be about, a feed and reason: `events`, what waits `behind` these, and `parked_since`."""
    return await connection.fetch(SQL.parked_count, consumer, *chosen.terms)


async def parked(
    connection: Connection, consumer: str, chosen: Chosen, *, limit: int = 100
) -> Sequence[asyncpg.Record]:
    """Parked events in the order of feed and seq, without what they say."""
    return await connection.fetch(SQL.parked_list, consumer, *chosen.terms, limit)


async def sample(connection: Connection, consumer: str, chosen: Chosen, limit: int = 10) -> Sequence[asyncpg.Record]:
    """Some of the events that an act would be about, without what they say."""
    return await connection.fetch(SQL.parked_sample, consumer, *chosen.terms, limit)


async def shown(connection: Connection, consumer: str, feed: str, seq: int) -> asyncpg.Record | None:
    """All that is known of one parked event, what it says included."""
    return await connection.fetchrow(SQL.parked_show, consumer, feed, seq)


async def redrive(
    connection: Connection,
    consumer: str,
    chosen: Chosen,
    by: By,
    *,
    events_max: int | None = None,
    per_second: float | None = None,
) -> Act:
    """Have parked events tried again by their consumer, each key's in order, at most so many and so many a second.

    Nothing is published again, and no other consumer hears of it. Raises `BadAct`.
    """
    _check(by)
    if events_max is not None and events_max < 1:
        raise BadAct("the cap of a redrive is 1 or more, or left out")
    if per_second is not None and not _SLOWEST <= per_second <= _FASTEST:  # nor is it no number
        raise BadAct(f"the rate of a redrive is {_SLOWEST} to {_FASTEST:,} a second, or left out")
    limits = (events_max, per_second)
    [row] = await connection.fetch(SQL.redrive, consumer, *chosen.terms, by.who, by.why, _told(chosen), *limits)
    return Act(row["id"], row["events"])


async def discard(connection: Connection, consumer: str, chosen: Chosen, by: By) -> Act:
    """Give parked events up: they never have their effect here. What waited behind them is tried. Raises `BadAct`."""
    _check(by)
    async with connection.transaction():
        await connection.execute(SQL.checkpoint_hold, consumer, None)
        [row] = await connection.fetch(SQL.discard, consumer, *chosen.terms, by.who, by.why, _told(chosen))
    return Act(row["id"], row["events"])


async def rewind(
    connection: Connection,
    consumer: str,
    feed: str,
    place: tuple[int, UUID | None],
    by: By,
    *,
    what: What = "rewind",
) -> Rewound:
    """Have a consumer hear a feed again after a number; the id of the event there is compared with the stream's.

    Its own process notices within a second. Raises `BadAct` where it is no further than that.
    """
    seq, event_id = place
    async with connection.transaction():
        await connection.execute(SQL.checkpoint_hold, consumer, feed)
        row = await connection.fetchrow(SQL.rewind, consumer, feed, seq, event_id)
        if row is None:
            raise BadAct(f"{consumer} is not beyond {seq:,} in {feed}")
        rewound = Rewound(**row)
        await note(connection, consumer, what, {"feed": feed, "from": rewound.before, "to": seq}, by)
    return rewound


async def note(connection: Connection, service: str, what: What, about: Mapping[str, object], by: By) -> UUID:
    """Keep an act that the caller carries out in the same transaction; its id. Raises `BadAct`."""
    _check(by)
    told = msgspec.json.encode(about).decode()
    act: UUID = await connection.fetchval(SQL.act_note, service, what, by.who, by.why, told)
    return act


async def acts(connection: Connection, limit: int = 100) -> Sequence[asyncpg.Record]:
    """What operators had done here, the latest first, with what came of it and how many keys it is `under_way` with."""
    return await connection.fetch(SQL.acts, limit)


def _check(by: By) -> None:
    for name, text in (("who", by.who), ("why", by.why)):
        if not text.strip() or len(text) > _TEXT_MAX or "\0" in text:
            raise BadAct(f"say {name}: 1 to {_TEXT_MAX:,} characters")


def _told(chosen: Chosen) -> str:
    return msgspec.json.encode(chosen).decode()
