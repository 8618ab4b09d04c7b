"""Holds the current-state rows against the log: each must equal the fold of its events."""

from collections.abc import AsyncIterator
from itertools import groupby
from uuid import UUID

import asyncpg
from msgspec import Struct

from events.postgres import Connection
from todos.history import replayed
from todos.tables import SQL, TodoRow, todos_by_id

_BATCH = 500


class Verdict(Struct, frozen=True):
    """How many to-dos were compared, and which rows are not what their events say."""

    compared: int
    differing: list[UUID]


async def verify(connection: Connection) -> Verdict:
    """Compare every to-do, on one snapshot."""
    compared, differing = 0, []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for folded in _batches(connection):
            rows = await todos_by_id(connection, list(folded))
            compared += len(folded)
            differing += [todo_id for todo_id, row in folded.items() if rows.get(todo_id) != row]
        unknown = await connection.fetch(SQL.rows_without_events)
    return Verdict(compared, differing + [record["id"] for record in unknown])


async def _batches(connection: Connection) -> AsyncIterator[dict[UUID, TodoRow | None]]:
    """What the events of each to-do make, some at a time."""
    folded: dict[UUID, TodoRow | None] = {}
    events: list[asyncpg.Record] = []
    async for record in connection.cursor(SQL.every_event, prefetch=1000):
        if events and events[0]["aggregate"] != record["aggregate"]:
            folded |= _folded(events)
            events = []
            if len(folded) >= _BATCH:
                yield folded
                folded = {}
        events.append(record)
    yield folded | _folded(events)


def _folded(events: list[asyncpg.Record]) -> dict[UUID, TodoRow | None]:
    return {
        todo_id: ([None, *(step.after for step in replayed(list(group)))])[-1]
        for todo_id, group in groupby(events, lambda record: record["aggregate"])
    }
