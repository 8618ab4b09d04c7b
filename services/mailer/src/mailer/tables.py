"""The mailer's tables: letters to send (a work table) and how to reach people."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from events.catalog.auth import Locale
from events.clock import Clock
from events.postgres import Connection
from events.sql import load
from events.work import Row
from mailer.domain import Letter

SQL = load("mailer")

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
)


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a person; the address is inside `sealed_contact`, for the mailer's key alone."""

    user_id: UUID
    sealed_contact: str
    locale: Locale | None
    timezone: str | None
    registered_at: datetime


class ContactChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a person changed; the rest is unset."""

    user_id: UUID
    name: str | msgspec.UnsetType | None = msgspec.UNSET
    locale: Locale | msgspec.UnsetType | None = msgspec.UNSET
    timezone: str | msgspec.UnsetType | None = msgspec.UNSET


def letter_of(row: Row) -> Letter:
    """The letter of a claimed row."""
    return Letter(**{name: row[name] for name in _LETTER})


async def queue_letters(connection: Connection, letters: Sequence[Letter]) -> None:
    """Queue letters; those already there stay as they are."""
    await connection.execute(SQL.queue_letters, *([getattr(each, name) for each in letters] for name in _LETTER))


async def keep_contacts(connection: Connection, contacts: Sequence[Contact]) -> None:
    """Keep how to reach people; the first word about a person stands."""
    await connection.execute(
        SQL.keep_contacts, *([getattr(each, name) for each in contacts] for name in Contact.__struct_fields__)
    )


async def drop_letters(pool: asyncpg.Pool, clock: Clock, limit: int) -> int:
    """Drop up to so many letters that were settled 30 days ago; how many."""
    return int(await pool.fetchval(SQL.drop_letters, clock(), limit))


async def erase_letters(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Drop up to so many letters to an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_letters, person_id, limit))


async def erase_contact(pool: asyncpg.Pool, person_id: UUID, _: int) -> int:
    """Drop how to reach an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_contact, person_id))


async def change_contacts(connection: Connection, changes: Sequence[ContactChange]) -> None:
    """Keep what people changed, at most one change a person; nothing happens to who is not there."""
    columns: list[list[object]] = [[change.user_id for change in changes]]
    for name in ("name", "locale", "timezone"):
        values = [getattr(change, name) for change in changes]
        columns.append([value is not msgspec.UNSET for value in values])
        columns.append([None if value is msgspec.UNSET else value for value in values])
    await connection.execute(SQL.change_contacts, *columns)


async def clear_seal(connection: Connection, row: Row) -> None:
    """Forget what a claimed letter says; comes before its outcome, in the same transaction."""
    await connection.execute(SQL.clear_seal, row["id"], row["token"])


async def resend(pool: asyncpg.Pool, row: Row, reason: str) -> bool:
    """Queue a letter of unknown outcome once more; False when that was done before, or the claim is lost."""
    return await pool.fetchval(SQL.resend, row["id"], row["token"], reason) is not None
