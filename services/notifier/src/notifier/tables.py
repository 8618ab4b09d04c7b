"""The queries of `sql/`, one typed function each."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, cast
from uuid import UUID

import asyncpg
import msgspec

from events.catalog.auth import ProfileChanged
from events.catalog.patch import columns
from events.catalog.stale import StaleKind
from events.clock import Clock
from events.postgres import Connection
from events.sql import load
from notifier.domain import KEPT, Channel, Choices, Kind, Preferences

SQL = load("notifier")
EVENTS_SQL = load("events")
TOP: Final = 2**63 - 1


class NewNotification(msgspec.Struct, frozen=True, kw_only=True):
    """What an event tells a person; its id is the event's, `data` is JSON."""

    id: UUID
    user_id: UUID
    kind: Kind
    data: str
    at: datetime
    silent: bool = False


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """What an event tells a person wherever they are, by what they want; `id` is the event's, `data` is JSON."""

    id: UUID
    user_id: UUID
    kind: Kind
    data: str
    at: datetime
    correlation_id: str
    traceparent: str
    push: bool
    sms: bool


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `notification`; `data` is JSON."""

    id: UUID
    number: int
    kind: Kind
    data: str
    silent: bool
    at: datetime
    read_at: datetime | None


class Recipient(msgspec.Struct, frozen=True):
    """Somebody who is told: what they chose, and whether they have a device."""

    prefers: Preferences
    has_device: bool


class News(msgspec.Struct):
    """Where an inbox stands, and what it holds after some number."""

    last_number: int = 0
    unread: int = 0
    notifications: list[Notified] = []


class Standing(msgspec.Struct, frozen=True):
    """Where an inbox stands: its last number, and how many are unread."""

    last_number: int = 0
    unread: int = 0


async def add_notifications(
    connection: Connection, heard_at: datetime, notifications: Sequence[NewNotification]
) -> None:
    """Put notifications into their inboxes in this order, each under the next number; one already there stays."""
    arrays = ([getattr(each, name) for each in notifications] for name in NewNotification.__struct_fields__)
    await connection.execute(SQL.add_notifications, heard_at, *arrays)


async def queue_deliveries(connection: Connection, heard_at: datetime, told: Sequence[NewDelivery]) -> int:
    """Queue a delivery for each device of each person; what is queued already stays as it is. How many are new."""
    arrays = ([getattr(each, name) for each in told] for name in NewDelivery.__struct_fields__)
    return int(await connection.fetchval(SQL.queue_deliveries, heard_at, *arrays))


async def expire_stale(connection: Connection, before: Mapping[tuple[UUID, StaleKind], datetime]) -> None:
    """End deliveries about a to-do and kind that tell of something before a moment each: it is no longer true."""
    if before:
        todos, kinds = zip(*before, strict=True)
        await connection.execute(SQL.expire_stale, todos, kinds, list(before.values()))


async def drop_deliveries(pool: asyncpg.Pool, clock: Clock, limit: int) -> int:
    """Drop up to so many deliveries that were settled 30 days ago; how many."""
    return int(await pool.fetchval(SQL.drop_deliveries, clock(), limit))


async def drop_codes(pool: asyncpg.Pool, clock: Clock, limit: int) -> int:
    """Drop up to so many codes that were asked for a day ago; how many."""
    return int(await pool.fetchval(SQL.drop_codes, clock(), limit))


async def drop_counts(pool: asyncpg.Pool, clock: Clock, limit: int) -> int:
    """Drop up to so many of the codes counted for a number, a day after they were asked for; how many."""
    return int(await pool.fetchval(SQL.drop_counts, clock(), limit))


async def erase_deliveries(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Drop up to so many deliveries of an erased person, and their devices; how many."""
    return int(await pool.fetchval(SQL.erase_deliveries, person_id, limit))


async def list_notifications(
    pool: asyncpg.Pool, user_id: UUID, before: int, *, unread: bool, limit: int
) -> list[Notified]:
    """A person's notifications before a number (`TOP`: from the newest), newest first."""
    rows = await pool.fetch(SQL.list_notifications, user_id, before, unread, limit)
    return [Notified(**row) for row in rows]


async def standing(pool: asyncpg.Pool, user_id: UUID) -> Standing:
    """Where a person's inbox stands."""
    row = await pool.fetchrow(SQL.standing, user_id)
    return Standing(**row) if row else Standing()


async def read_one(pool: asyncpg.Pool, user_id: UUID, id_: UUID, now: datetime) -> Notified | None:
    """Mark a person's notification as read, once; as it is then, None where there is none."""
    row = await pool.fetchrow(SQL.read_one, user_id, id_, now)
    return Notified(**row) if row else None


async def read_all(pool: asyncpg.Pool, user_id: UUID, up_to: int, now: datetime) -> int:
    """Mark everything up to a number as read; how many were not."""
    return int(await pool.fetchval(SQL.read_all, user_id, up_to, now))


async def drop_notifications(pool: asyncpg.Pool, clock: Clock, limit: int) -> int:
    """Drop up to so many notifications that came in `KEPT` ago; how many."""
    return int(await pool.fetchval(SQL.drop_notifications, clock() - KEPT, limit))


async def erase_notifications(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Drop up to so many notifications of an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_notifications, person_id, limit))


async def erase_inbox(pool: asyncpg.Pool, person_id: UUID, _: int) -> int:
    """Drop what else is kept of an erased person; how much."""
    return int(await pool.fetchval(SQL.erase_inbox, person_id))


async def preferences(connection: Connection | asyncpg.Pool, people: Collection[UUID]) -> dict[UUID, Preferences]:
    """What people chose; who never chose is left out."""
    return {row["user_id"]: _chosen(row) for row in await connection.fetch(SQL.preferences, list(people))}


async def audience(connection: Connection, people: Collection[UUID]) -> dict[UUID, Recipient]:
    """Those of these people who are not erased; nobody becomes so before the transaction ends (`erasure.living`)."""
    return {
        row["user_id"]: Recipient(_chosen(row) if row["choices"] else Preferences(), row["has_device"])
        for row in await connection.fetch(SQL.audience, list(people))
    }


async def choose(
    connection: Connection, user_id: UUID, chosen: Preferences, now: datetime, *, until: bool
) -> Preferences:
    """Add to what a person chose, the end of their rest only where `until`; what they have chosen then.

    What waits for a rest to end is looked at again.
    """
    choices = {f"{kind}.{channel}": wanted for (kind, channel), wanted in chosen.choices.items()}
    encoded = msgspec.json.encode(choices).decode()
    [row] = await connection.fetch(SQL.choose, user_id, encoded, chosen.do_not_disturb_until, until, now)
    await connection.execute(SQL.wake_deliveries, [user_id])
    return _chosen(row)


async def keep_profiles(connection: Connection, changes: Sequence[ProfileChanged]) -> None:
    """Keep what people changed in their profiles, at most one change a person; what waits is looked at again."""
    if not changes:
        return
    people = [change.user_id for change in changes]
    await connection.execute(SQL.add_preferences, people)
    await connection.execute(SQL.keep_profiles, people, *columns(changes, "timezone", "quiet_from", "quiet_to"))
    await connection.execute(SQL.wake_deliveries, people)


def _chosen(row: asyncpg.Record) -> Preferences:
    choices = msgspec.json.decode(row["choices"], type=dict[str, bool])
    since = msgspec.json.decode(row["since"], type=dict[str, datetime])
    pairs = {tuple(name.split(".")): wanted for name, wanted in choices.items()}
    times = cast("Mapping[tuple[Kind, Channel], datetime]", {tuple(name.split(".")): at for name, at in since.items()})
    own = (row["do_not_disturb_until"], row["timezone"], row["quiet_from"], row["quiet_to"])
    return Preferences(cast("Choices", pairs), *own, times)


async def news(pool: asyncpg.Pool, asked: Sequence[tuple[UUID, int]], limit: int) -> list[News]:
    """For people and numbers: where each inbox stands, and so many notifications after the number, oldest first."""
    found = [News() for _ in asked]
    for row in await pool.fetch(SQL.news, *map(list, zip(*asked, strict=True)), limit) if asked else ():
        one = found[row["place"] - 1]
        one.last_number, one.unread = row["last_number"], row["unread"]
        if row["id"]:
            one.notifications.append(Notified(**{name: row[name] for name in Notified.__struct_fields__}))
    return found


async def last_numbers(connection: Connection, people: Sequence[UUID]) -> dict[UUID, int]:
    """Where some inboxes stand; who has none is left out."""
    return {row["user_id"]: row["last_number"] for row in await connection.fetch(SQL.last_numbers, people)}
