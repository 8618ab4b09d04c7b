"""Holds the current-state rows against the log: each must equal the fold of its events. And makes them so."""

from collections.abc import AsyncIterator, Mapping
from itertools import groupby
from uuid import UUID

import asyncpg
from msgspec import Struct, json

from events.postgres import Connection
from todos.history import replayed
from todos.tables import EVENTS_SQL, SQL, TodoRow, todos_by_id

_BATCH = 500


class Verdict(Struct, frozen=True):
    """How many to-dos were compared, and which rows are not what their events say."""

    compared: int
    differing: list[UUID]


async def verify(connection: Connection) -> Verdict:
    """Compare every to-do, on one snapshot."""
    compared, differing = 0, []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(EVENTS_SQL.take_time)
        async for folded in _batches(connection):
            rows = await todos_by_id(connection, list(folded))
            compared += len(folded)
            differing += [todo_id for todo_id, row in folded.items() if rows.get(todo_id) != row]
        unknown = await connection.fetch(SQL.rows_without_events)
    return Verdict(compared, differing + [record["id"] for record in unknown])


async def mend(connection: Connection) -> int:
    """Write every row anew that is not what its events say; how many. As the owner, and nobody appends meanwhile.

    For a log that got back what its database had lost: the rows are still those of before.
    """
    mended = 0
    async with connection.transaction():
        await connection.execute(EVENTS_SQL.take_time)
        await connection.execute(SQL.hold_feed)
        async for folded in _batches(connection):
            rows = await todos_by_id(connection, list(folded))
            mended += await _write(connection, {each: row for each, row in folded.items() if rows.get(each) != row})
        while unknown := await connection.fetch(SQL.rows_without_events):
            mended += await _write(connection, {record["id"]: None for record in unknown})
    return mended


async def _write(connection: Connection, rows: Mapping[UUID, TodoRow | None]) -> int:
    kinds = ["todo" if row else "todo_purged" for row in rows.values()]
    versions = [row.version if row else 0 for row in rows.values()]
    states = [json.encode(row).decode() if row else None for row in rows.values()]
    await connection.execute(SQL.write_rows, kinds, list(rows), versions, states)
    return len(rows)


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
