"""Tickets that open a live connection: single use, for 30 s, at any replica, so that no token stands in an address."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import asyncpg

from api.messages import Locale
from api.requests import Person
from events.clock import Clock
from events.postgres import Connection
from notifier.tables import SQL

LIFE: Final = timedelta(seconds=30)
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class Tickets:
    """Sells tickets and takes them in; `origins` are the web origins whose pages may open sockets."""

    pool: asyncpg.Pool
    now: Clock
    origins: frozenset[str] = frozenset()

    async def sell(self, connection: Connection, person: Person) -> str:
        """A ticket for somebody who is signed in; it never outlives their token."""
        ticket = secrets.token_urlsafe(32)
        ends = datetime.fromtimestamp(person.expires, UTC)
        until = min(self.now() + LIFE, ends)
        row = (_hash(ticket), person.id, person.sid, person.locale, ends, until)
        await connection.execute(SQL.add_ticket, *row)
        return ticket

    async def use(self, ticket: str) -> Person | None:
        """Whose ticket this is, once; None for one that is unknown, used or over."""
        if not 0 < len(ticket) <= _LONGEST:
            return None
        row = await self.pool.fetchrow(SQL.use_ticket, _hash(ticket), self.now())
        if row is None:
            return None
        return Person(
            row["user_id"],
            row["session_id"],
            locale=cast("Locale | None", row["locale"]),
            expires=row["token_expires_at"].timestamp(),
        )


async def drop_tickets(pool: asyncpg.Pool, clock: Clock, limit: int) -> int:
    """Drop up to so many tickets that are over; how many."""
    return int(await pool.fetchval(SQL.drop_tickets, clock(), limit))


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()
