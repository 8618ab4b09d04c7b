"""People who are erased: their tombstones, as handlers write and heed them and as a guard reads them.

A tombstone says for ever that nothing more may be kept of a person. What is there already the `Eraser` takes away.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import asyncpg

from events.beat import beat
from events.hearing import Event
from events.postgres import AWAY, Connection
from events.sql import load

SQL = load("events")
EVERY = 1.0


async def forget(connection: Connection, events: Sequence[Event]) -> None:
    """Write the tombstones of the people whom these events are about (`UserErased`).

    Before `living` in a handler's transaction; waits for handlers and appends that are under way.
    """
    if events:
        said = [event.envelope for event in events]
        await connection.execute(SQL.forget, [each.subject for each in said], [each.id for each in said])


async def living(connection: Connection, events: Sequence[Event]) -> Sequence[Event]:
    """The events whose people are not erased; every handler works on these alone.

    Nobody becomes erased before the transaction ends: what a handler writes now, the eraser will find.
    """
    rows = await connection.fetch(SQL.erased_among, list({event.envelope.subject for event in events}))
    erased = {row["subject"] for row in rows}
    return [event for event in events if event.envelope.subject not in erased]


async def is_erased(connection: Connection, person_id: UUID) -> bool:
    """Whether somebody is erased. Who is not does not become so before the transaction ends."""
    return bool(await connection.fetch(SQL.erased_among, [person_id]))


async def hold_off(connection: Connection) -> None:
    """Nobody becomes erased before the transaction ends.

    For whoever holds rows that a handler changes and appends at the end: `forget` takes its locks the other way round.
    """
    await connection.fetch(SQL.erased_among, [])


class Tombstones:
    """The people erased lately, as of a second ago while `run` runs: their tokens may still be valid."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._people: frozenset[UUID] = frozenset()

    def __contains__(self, person_id: UUID) -> bool:
        return person_id in self._people

    def add(self, person_id: UUID) -> None:
        """Know of somebody now, who was erased in this very process."""
        self._people |= {person_id}

    async def run(self) -> None:
        """Read until cancelled; while the database is away, what was known stays known."""
        while True:
            with suppress(*AWAY):
                rows = await self._pool.fetch(SQL.erasure_recent)
                self._people = frozenset(row["subject"] for row in rows)
            await asyncio.sleep(beat(EVERY))
