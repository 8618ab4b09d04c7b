"""The queries of `sql/`, one typed function each, and the state rows that the log's append writes."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
from msgspec import Struct

from events.catalog.auth import Locale
from events.clock import Clock
from events.postgres import Connection
from events.retention import Drop, drop_answers
from events.sql import load

SQL = load("auth")
EVENTS_SQL = load("events")
ROTATE_WITHIN = 3.0
"""Seconds; with a client's pause before its retry well under the grace that the parent of a refresh token has."""

Allowance: TypeAlias = tuple[bytes, timedelta, int]
"""What may be taken from: its key, the time until one comes back, how many at once."""


class ChallengeState(Struct, frozen=True, kw_only=True):
    """State `challenge`: a code was asked for."""

    email: str
    code_mac: bytes
    pepper: str
    expires_at: datetime


class ChallengeUsedState(Struct, frozen=True):
    """State `challenge_used`: the right code came."""

    used_at: datetime


class AccountState(Struct, frozen=True):
    """State `account`: its person registered."""

    email: str
    registered_at: datetime


class PersonState(Struct, frozen=True, kw_only=True):
    """State `person`: what of an account can change."""

    name: str | None
    locale: Locale | None
    timezone: str | None
    quiet_from: str | None
    quiet_to: str | None
    roles: Sequence[str]


class SessionState(Struct, frozen=True, kw_only=True):
    """State `session`: it began."""

    user_id: UUID
    refresh_hash: bytes
    created_at: datetime
    expires_at: datetime
    device: str | None


class SessionEndedState(Struct, frozen=True):
    """State `session_ended`."""

    ended_at: datetime


class Guess(Struct, frozen=True, kw_only=True):
    """A challenge with this guess counted in `guesses`; `locked_until` is its address's lock as this guess found it."""

    id: UUID
    code_mac: bytes
    pepper: str
    expires_at: datetime
    guesses: int
    used_at: datetime | None
    locked_until: datetime | None


class Account(Struct, frozen=True, kw_only=True):
    """A row of `account`; version 0 is a reserved id."""

    id: UUID
    version: int
    email: str
    name: str | None
    locale: Locale | None
    timezone: str | None
    quiet_from: str | None
    quiet_to: str | None
    roles: Sequence[str]
    registered_at: datetime | None


class Session(Struct, frozen=True, kw_only=True):
    """A row of `session`; `generation` and `refresh_hash` are the living refresh token's."""

    id: UUID
    version: int
    user_id: UUID
    refresh_hash: bytes
    generation: int
    refreshed_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class OpenSession(Struct, frozen=True, kw_only=True):
    """An open session as its person sees it."""

    id: UUID
    device: str | None
    created_at: datetime
    last_used_at: datetime


class Place(Struct, frozen=True, array_like=True):
    """Where a page of sessions ends."""

    created_at: datetime
    id: UUID


TOP: Final = Place(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class Streak(Struct, frozen=True, kw_only=True):
    """How wrong guesses in a row are counted: under which key, `lock_after` how many, locked until when."""

    key: bytes
    lock_after: int
    locked_until: datetime


class SigningKeyRow(Struct, frozen=True, kw_only=True):
    """A row of `signing_key`, its seed wrapped."""

    kid: str
    wrapped: str
    signs_from: datetime
    drop_after: datetime | None


async def take(pool: asyncpg.Pool, asked: Sequence[tuple[Sequence[Allowance], datetime]]) -> list[timedelta]:
    """For each request take one from each of its allowances or from none; how long to wait, zero when taken.

    No two requests share an allowance, each has one at least.
    """
    places = [(nr, *allowance, now) for nr, (allowances, now) in enumerate(asked) for allowance in allowances]
    rows = await pool.fetch(SQL.take_together, *zip(*places, strict=True))
    return [row["wait"] for row in rows]


async def give_back(pool: asyncpg.Pool, allowances: Sequence[Allowance]) -> None:
    """Give one back to each allowance that was taken from."""
    keys, steps, _ = zip(*allowances, strict=True)
    await pool.execute(SQL.give_back, keys, steps)


async def count_guess(
    pool: asyncpg.Pool, challenge_id: UUID, email: str, now: datetime, *, guesses: int, streak: Streak
) -> Guess | None:
    """Count a guess, committed when this returns; None for a challenge that this address never had."""
    row = await pool.fetchrow(
        SQL.count_guess, challenge_id, email, streak.key, now, guesses, streak.lock_after, streak.locked_until
    )
    return Guess(**row) if row else None


async def is_used(pool: asyncpg.Pool, challenge_id: UUID) -> bool | None:
    """Whether a challenge was answered with its right code; None once it went with its person."""
    used: bool | None = await pool.fetchval(SQL.is_used, challenge_id)
    return used


async def locked_until(pool: asyncpg.Pool, streak_keys: Sequence[bytes]) -> list[datetime | None]:
    """Until when each address is or was locked, None for one that never was."""
    found = {row["key"]: row["locked_until"] for row in await pool.fetch(SQL.locked_until, streak_keys)}
    return [found.get(key) for key in streak_keys]


async def forgive(pool: asyncpg.Pool, streak_key: bytes, resend_key: bytes) -> None:
    """End an address's streak of wrong guesses and its wait for the next code."""
    await pool.execute(SQL.forgive, streak_key, resend_key)


async def accounts_by_email(pool: asyncpg.Pool, emails: Sequence[str]) -> list[Account | None]:
    """The account of each address, reserved or registered."""
    found = {row["email"]: Account(**row) for row in await pool.fetch(SQL.accounts_by_email, emails)}
    return [found.get(email) for email in emails]


async def reserve_account(pool: asyncpg.Pool, account_id: UUID, email: str) -> None:
    """Fix the id of an address; nothing happens where it has one."""
    await pool.execute(SQL.reserve_account, account_id, email)


async def said_of_person(pool: asyncpg.Pool, person_id: UUID) -> list[tuple[int, str]]:
    """Version and type of each event of a person in the log, in order; of a reserved id there is none."""
    rows = await pool.fetch(EVENTS_SQL.read_aggregate, "AUTH", person_id)
    return [(row["version"], row["type"]) for row in rows]


async def account_of_session(pool: asyncpg.Pool, session_id: UUID) -> Account | None:
    """The account behind a session that has not ended."""
    row = await pool.fetchrow(SQL.account_of_session, session_id)
    return Account(**row) if row else None


async def get_session(pool: asyncpg.Pool, session_id: UUID) -> Session | None:
    """One session, also an ended one."""
    row = await pool.fetchrow(SQL.get_session, session_id)
    return Session(**row) if row else None


async def list_sessions(
    pool: asyncpg.Pool, user_id: UUID, now: datetime, after: Place, *, limit: int
) -> list[OpenSession]:
    """A person's open sessions after a place (`TOP`: from the first), newest first."""
    rows = await pool.fetch(SQL.list_sessions, user_id, now, after.created_at, after.id, limit)
    return [OpenSession(**row) for row in rows]


async def other_sessions(pool: asyncpg.Pool, user_id: UUID, session_id: UUID, now: datetime) -> list[Session]:
    """A person's open sessions, but for one."""
    return [Session(**row) for row in await pool.fetch(SQL.other_sessions, user_id, session_id, now)]


async def rotate(
    pool: asyncpg.Pool, parent: bytes, child: bytes, session_id: UUID, *, now: datetime, until: datetime
) -> bool:
    """Replace a session's living refresh token (by hashes), once; False where `parent` is not the living one.

    Raises `TimeoutError` after about `ROTATE_WITHIN` seconds, and then it may or may not have been done.
    """
    # A connection taken with a timeout is also given back within it: a paused server never answers the cancel.
    async with asyncio.timeout(ROTATE_WITHIN), pool.acquire(timeout=1) as connection:
        return await connection.fetchval(SQL.rotate, parent, child, session_id, now, until) is not None


async def signing_keys(pool: asyncpg.Pool) -> list[SigningKeyRow]:
    """Every signing key, in the order of their turns, also those that may be dropped."""
    return [SigningKeyRow(**row) for row in await pool.fetch(SQL.signing_keys)]


async def lock_signing_keys(connection: Connection, now: datetime) -> bool:
    """Change the signing keys alone until the transaction ends; whether one counts."""
    await connection.execute(SQL.lock_signing_keys)
    return bool(await connection.fetchval(SQL.has_signing_key, now))


async def retire_signing_keys(connection: Connection, drop_after: datetime) -> None:
    """Have every signing key be over at a time, if not before."""
    await connection.execute(SQL.retire_signing_keys, drop_after)


async def add_signing_key(
    connection: Connection, kid: str, wrapped: str, *, published_at: datetime, signs_from: datetime
) -> None:
    """Publish a signing key."""
    await connection.execute(SQL.add_signing_key, kid, wrapped, published_at, signs_from)


def drops(pool: asyncpg.Pool, clock: Clock) -> Mapping[str, Drop]:
    """What must not outlive its purpose, by name: letters with codes in the log, rows that mean nothing any more."""
    by_clock = ("challenges", "reservations", "allowances", "streaks", "sessions", "signing_keys")
    return {
        "codes": partial(trim_otp, pool),
        "answers": partial(drop_answers, pool),
        **{what: partial(_drop, pool, getattr(SQL, f"drop_{what}"), clock) for what in by_clock},
    }


async def trim_otp(pool: asyncpg.Pool, limit: int) -> int:
    """Drop old rows of feed OTP; how many."""
    return int(await pool.fetchval(SQL.trim_otp, limit))


async def _drop(pool: asyncpg.Pool, query: str, clock: Clock, limit: int) -> int:
    return int(await pool.fetchval(query, clock(), limit))
