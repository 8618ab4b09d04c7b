"""The queries of `sql/`, one typed function each."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
from msgspec import Struct

from events.catalog.todos import Event
from events.postgres import Connection
from events.sql import load
from todos.domain import TODO, alarm_at
from todos.domain import Todo as State

SQL = load("todos")
EVENTS_SQL = load("events")
FEED: Final = "TODOS"
PRIORITIES: Final = (1, 2, 3, 4, 5)

Wanted: TypeAlias = tuple[UUID, UUID]
"""A to-do and whose it must be."""


class TodoRow(State, frozen=True, kw_only=True):
    """A row of `todo`: the state, and what the times of its events and its owner add."""

    user_id: UUID
    version: int
    alarm_at: datetime | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    deleted_at: datetime | None


Place: TypeAlias = tuple[datetime, UUID]
"""How far somebody went through what is due: a row's time, and its id among those of the same."""
FIRST: Final[Place] = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


class Filters(Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; None lets everything through. `pattern` is for ILIKE."""

    completed: bool | None = None
    only_open: bool = False
    priority: int | None = None
    due_from: datetime | None = None
    due_before: datetime | None = None
    pattern: str | None = None

    @property
    def states(self) -> list[bool]:
        """Which of open and completed."""
        asked = [False, True] if self.completed is None else [self.completed]
        return [state for state in asked if not (state and self.only_open)]


class Created(Struct, frozen=True, array_like=True):
    """Where a page of a list by age ends, or of one by the time of deletion."""

    at: datetime = datetime.max.replace(tzinfo=UTC)
    id: UUID = UUID(int=2**128 - 1)


class Due(Struct, frozen=True, array_like=True):
    """Where a page of a list by deadline ends; `due_at` is None among those without one."""

    due_at: datetime | None = datetime.min.replace(tzinfo=UTC)
    id: UUID = UUID(int=0)


class Ranked(Struct, frozen=True, array_like=True):
    """Where a page of a list by priority ends."""

    priority: int = 0
    created_at: datetime = datetime.max.replace(tzinfo=UTC)
    id: UUID = UUID(int=2**128 - 1)


class Changed(Struct, frozen=True):
    """A to-do that had events; `row` is None for one that is deleted. `position` is the number of the last event."""

    id: UUID
    position: int
    row: TodoRow | None


def row_after(row: TodoRow | None, event: Event, time: datetime, user_id: UUID) -> TodoRow | None:
    """A to-do's row after one more event; None once it is purged."""
    state = TODO.evolve(row, event)
    if state is None:
        return None
    done, gone = (row.completed_at, row.deleted_at) if row else (None, None)
    return TodoRow(
        **{name: getattr(state, name) for name in State.__struct_fields__},
        user_id=user_id,
        version=row.version + 1 if row else 1,
        alarm_at=alarm_at(state),
        created_at=row.created_at if row else time,
        updated_at=time,
        completed_at=(done or time) if state.completed else None,
        deleted_at=(gone or time) if state.deleted else None,
    )


def rows_after(row: TodoRow | None, events: Iterable[Event], time: datetime, user_id: UUID) -> TodoRow | None:
    """A to-do's row after some more events of one moment."""
    for event in events:
        row = row_after(row, event, time, user_id)
    return row


async def get_todos(pool: asyncpg.Pool, wanted: Sequence[Wanted]) -> list[TodoRow | None]:
    """To-dos of their owners, deleted or not, in that order; None for an unknown one and for another's."""
    found = await todos_by_id(pool, [todo_id for todo_id, _ in wanted])
    rows = [(found.get(todo_id), user_id) for todo_id, user_id in wanted]
    return [row if row and row.user_id == user_id else None for row, user_id in rows]


async def erase_todos(pool: asyncpg.Pool, user_id: UUID, limit: int) -> int:
    """Take away up to so many to-dos of an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_todos, user_id, limit))


async def list_todos(
    pool: asyncpg.Pool, user_id: UUID, filters: Filters, after: Created | Due | Ranked, limit: int
) -> list[TodoRow]:
    """A page of a person's to-dos after a place, whose type says the order (its default: from the first)."""
    due = (filters.due_from, filters.due_before, filters.pattern)
    match after:
        case Due():
            # As text: asyncpg sends the last moment that there is as infinity, which is later than that moment.
            since = after.due_at.isoformat() if after.due_at else "infinity"
            rows = await pool.fetch(
                SQL.list_by_due, user_id, filters.states, since, after.id, limit, *due, filters.priority
            )
        case Created() if filters.priority is None:
            rows = await pool.fetch(SQL.list_by_created, user_id, filters.states, after.at, after.id, limit, *due)
        case _:
            ranked = Ranked(filters.priority or 0, after.at, after.id) if isinstance(after, Created) else after
            wanted = [each for each in PRIORITIES if filters.priority in {None, each} and each >= ranked.priority]
            place = (ranked.priority, ranked.created_at, ranked.id)
            rows = await pool.fetch(SQL.list_by_priority, user_id, filters.states, wanted, *place, limit, *due)
    return _rows(rows)


async def count_todos(pool: asyncpg.Pool, user_id: UUID, filters: Filters, up_to: int) -> int:
    """How many to-dos a list shows on all its pages, `up_to` at most."""
    due = (filters.due_from, filters.due_before, filters.pattern)
    return int(await pool.fetchval(SQL.count_todos, user_id, filters.states, filters.priority, *due, up_to))


async def list_deleted(
    pool: asyncpg.Pool, user_id: UUID, filters: Filters, after: Created, limit: int
) -> list[TodoRow]:
    """A page of a person's deleted to-dos."""
    due = (filters.due_from, filters.due_before, filters.pattern)
    rows = await pool.fetch(
        SQL.list_deleted, user_id, filters.states, after.at, after.id, limit, *due, filters.priority
    )
    return _rows(rows)


async def count_deleted(pool: asyncpg.Pool, user_id: UUID, filters: Filters, up_to: int) -> int:
    """How many a list of deleted to-dos shows on all its pages, `up_to` at most."""
    due = (filters.due_from, filters.due_before, filters.pattern)
    return int(await pool.fetchval(SQL.count_deleted, user_id, filters.states, filters.priority, *due, up_to))


async def count_kept(pool: asyncpg.Pool, most: int, people: Sequence[UUID]) -> list[int]:
    """How many to-dos each of these people has, or `most`; who is named twice is counted once."""
    rows = await pool.fetch(SQL.count_kept, list(set(people)), most)
    kept = {row["user_id"]: row["count"] for row in rows}
    return [kept[person] for person in people]


async def due_alarms(pool: asyncpg.Pool, until: datetime, after: Place, limit: int) -> list[tuple[Place, TodoRow]]:
    """To-dos that the clock has to look at, longest due first, each with its place."""
    rows = _rows(await pool.fetch(SQL.due_alarms, until, limit, *after))
    return [((row.alarm_at or until, row.id), row) for row in rows]


async def long_deleted(pool: asyncpg.Pool, before: datetime, after: Place, limit: int) -> list[tuple[Place, TodoRow]]:
    """To-dos that were deleted before a moment, longest ago first, each with its place."""
    rows = _rows(await pool.fetch(SQL.long_deleted, before, limit, *after))
    return [((row.updated_at, row.id), row) for row in rows]


async def todos_by_id(connection: Connection | asyncpg.Pool, ids: Sequence[UUID]) -> dict[UUID, TodoRow]:
    """To-dos by their ids, whosever they are."""
    return {row.id: row for row in _rows(await connection.fetch(SQL.todos_by_id, ids))}


async def position(pool: asyncpg.Pool, since: int) -> tuple[int, datetime | None]:
    """The number of the feed's last event, and when the event after `since` happened (None: there is none)."""
    row = await pool.fetchrow(SQL.position, since)
    return (row["last_seq"], row["next_at"]) if row else (0, None)


async def changed_todos(pool: asyncpg.Pool, user_id: UUID, since: int, limit: int) -> list[Changed]:
    """A person's to-dos that had events after a number, in the order of their last ones."""
    records = await pool.fetch(SQL.changed_todos, user_id, since, limit)
    return [Changed(record["changed"], record["position"], _row(_without(record))) for record in records]


async def read_aggregate(pool: asyncpg.Pool, todo_id: UUID) -> list[asyncpg.Record]:
    """The events of a to-do as the log has them, in order."""
    found: list[asyncpg.Record] = await pool.fetch(EVENTS_SQL.read_aggregate, FEED, todo_id)
    return found


def _without(record: asyncpg.Record) -> dict[str, object] | None:
    columns = {name: value for name, value in record.items() if name not in {"changed", "position"}}
    return columns if columns["id"] else None


def _rows(records: Sequence[asyncpg.Record]) -> list[TodoRow]:
    return [row for record in records if (row := _row(record))]


def _row(record: asyncpg.Record | dict[str, object] | None) -> TodoRow | None:
    if record is None:
        return None
    columns = dict(record)
    columns |= {name: tuple(columns[name]) for name in ("reminded", "overdue")}
    return TodoRow(**columns)
