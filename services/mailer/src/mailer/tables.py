"""The mailer's tables: letters to send (a work table) and how to reach people."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from events.catalog.auth import Locale, ProfileChanged
from events.catalog.mailer import MailKind
from events.catalog.patch import columns
from events.catalog.stale import StaleKind
from events.clock import Clock
from events.postgres import Connection
from events.sql import load
from events.work import Row
from mailer.domain import Letter, address_id
from mailer.preferences import Preferences

SQL = load("mailer")
TURN: Final = "kind <> 'code', due_at"
"""Somebody waits for a code; whatever else is due can wait for it (index `letter_turn`)."""

_LETTER = (
    "id",
    "expires_at",
    "kind",
    "cause",
    "subject",
    "correlation_id",
    "traceparent",
    "happened_at",
    "locale",
    "message_id",
    "sealed",
    "facts",
    "held_until",
    "todo_id",
)


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a person; the address is inside `sealed_contact`, for the mailer's key alone."""

    user_id: UUID
    sealed_contact: str
    locale: Locale | None
    timezone: str | None
    registered_at: datetime


class Part(msgspec.Struct, frozen=True):
    """An event that a letter tells of, besides its own."""

    cause: UUID
    facts: str


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a person now; the address is inside `sealed_contact`."""

    sealed_contact: str
    name: str | None
    locale: Locale | None
    timezone: str | None
    quiet_from: str | None
    quiet_to: str | None
    is_suppressed: bool
    is_unwanted: bool


class PreferenceState(msgspec.Struct, frozen=True):
    """The row of `preference` that append writes."""

    off: Sequence[str]


def letter_of(row: Row) -> Letter:
    """The letter of a claimed row."""
    return Letter(**{name: row[name] for name in _LETTER})


async def queue_letters(connection: Connection, letters: Sequence[Letter]) -> None:
    """Queue letters; those already there stay as they are, and those whose end the log tells are not written again."""
    await connection.execute(SQL.queue_letters, *([getattr(each, name) for each in letters] for name in _LETTER))


async def expire_stale(connection: Connection, before: Mapping[tuple[UUID, StaleKind], datetime]) -> None:
    """End letters about a to-do and kind that tell of something before a moment each: it is no longer true."""
    if not before:
        return
    await connection.execute(SQL.release_lock)  # who gathers completions locks them in another order
    todos, kinds = zip(*before, strict=True)
    await connection.execute(SQL.expire_stale, todos, kinds, list(before.values()))


async def keep_contacts(connection: Connection, contacts: Sequence[Contact]) -> None:
    """Keep how to reach people; the first word about a person stands."""
    await connection.execute(
        SQL.keep_contacts, *([getattr(each, name) for each in contacts] for name in Contact.__struct_fields__)
    )


async def contacts_to_reseal(
    connection: Connection, after: UUID | None, current: str, limit: int
) -> Sequence[tuple[UUID, str]]:
    """Some people by id whose addresses are in boxes for other keys than the current, and these boxes."""
    rows = await connection.fetch(SQL.contacts_to_reseal, after, current, limit)
    return [(row["user_id"], row["sealed_contact"]) for row in rows]


async def reseal_contacts(connection: Connection, boxes: Sequence[tuple[UUID, str, str]]) -> int:
    """Put people's addresses into other boxes (person, before, after); how many were put."""
    return int(await connection.fetchval(SQL.reseal_contacts, *([box[nr] for box in boxes] for nr in range(3))))


async def refused(connection: Connection, person_id: UUID, now: datetime) -> int | None:
    """Count that a person's address refused a letter; the version of its suppression where this brings it about."""
    version: int | None = await connection.fetchval(SQL.refused, person_id, now, address_id(person_id))
    return version


async def accepted(connection: Connection, person_id: UUID) -> None:
    """Forgive what an address refused: it took a letter."""
    await connection.execute(SQL.accepted, person_id)


async def resume(connection: Connection, since: Mapping[UUID, datetime]) -> Mapping[UUID, int]:
    """Take addresses for working again since a moment each; whose were suppressed, with the version of their return."""
    rows = await connection.fetch(SQL.resume, list(since), list(since.values()), [address_id(each) for each in since])
    return {row["user_id"]: row["version"] for row in rows}


async def get_preference(pool: asyncpg.Pool, person_id: UUID) -> tuple[int, Preferences]:
    """What a person chose, and its version; 0 where nothing was chosen yet."""
    [row] = await pool.fetch(SQL.get_preference, person_id)
    return row["version"] or 0, Preferences(frozenset(row["off"] or ()))


async def erase_preference(pool: asyncpg.Pool, person_id: UUID, _: int) -> int:
    """Drop what an erased person chose; how many."""
    return int(await pool.fetchval(SQL.erase_preference, person_id))


async def drop_letters(pool: asyncpg.Pool, clock: Clock, limit: int) -> int:
    """Drop up to so many letters that were settled 30 days ago; how many."""
    return int(await pool.fetchval(SQL.drop_letters, clock(), limit))


async def erase_letters(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Drop up to so many letters to an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_letters, person_id, limit))


async def erase_contact(pool: asyncpg.Pool, person_id: UUID, _: int) -> int:
    """Drop how to reach an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_contact, person_id))


async def change_contacts(connection: Connection, changes: Sequence[ProfileChanged], now: datetime) -> None:
    """Keep what people changed, at most one change a person; nothing happens to who is not there.

    What waits for their quiet hours to end is looked at again.
    """
    if not changes:
        return
    people = [change.user_id for change in changes]
    named = columns(changes, "name", "locale", "timezone", "quiet_from", "quiet_to")
    await connection.execute(SQL.change_contacts, people, *named)
    await connection.execute(SQL.look_again, people, now)


async def clear_content(connection: Connection, row: Row) -> None:
    """Forget what a claimed letter says; comes before its outcome, in the same transaction."""
    await connection.execute(SQL.clear_content, row["id"], row["token"])


async def settle_codes(
    connection: Connection, claims: Sequence[tuple[UUID, UUID, str, str | None]]
) -> Collection[UUID]:
    """Write the outcomes of claimed letters that bring codes, and forget what they say; whose claim still held.

    Each is a letter's id, its claim's token, how it ends and why.
    """
    rows = await connection.fetch(SQL.settle_codes, *map(list, zip(*claims, strict=True)))
    return {row["id"] for row in rows}


async def settle_parts(connection: Connection, row: Row, state: str) -> None:
    """Settle what a letter told besides, in the transaction of its own outcome."""
    await connection.execute(SQL.settle_parts, row["id"], state)


async def parts_of(pool: asyncpg.Pool, letter_id: UUID) -> Sequence[Part]:
    """What a letter tells besides its own event, oldest first."""
    return [Part(**row) for row in await pool.fetch(SQL.parts, letter_id)]


async def hold(pool: asyncpg.Pool, row: Row, until: datetime, reason: str) -> bool:
    """Queue a letter that was claimed, not to be due before a moment; False when the claim is lost."""
    return await pool.fetchval(SQL.hold, row["id"], row["token"], until, reason) is not None


async def release(pool: asyncpg.Pool, now: datetime, limit: int) -> int:
    """Make due up to so many letters that were held until now, a person's completions told together; how many."""
    if not await pool.fetchval(SQL.is_held, now):
        return 0
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL.release_lock)
        return int(await connection.fetchval(SQL.release, now, limit))


async def reach(pool: asyncpg.Pool, person_id: UUID, kind: MailKind) -> Reach | None:
    """How to reach a person with a letter of a kind, None for somebody unknown (yet)."""
    row = await pool.fetchrow(SQL.reach, person_id, kind)
    return Reach(**row) if row else None


async def resend(pool: asyncpg.Pool, row: Row, reason: str) -> bool:
    """Queue a letter of unknown outcome once more; False when that was done before, or the claim is lost."""
    return await pool.fetchval(SQL.resend, row["id"], row["token"], reason) is not None
