"""The queries of `sql/`, one typed function each."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from events.sql import load

SQL = load("todos")


class TodoRow(Struct, frozen=True, kw_only=True):
    """A row of `todo`; `created_at` and `updated_at` are the times of its first and last event."""

    id: UUID
    user_id: UUID
    version: int
    title: str
    description: str | None
    priority: int
    completed: bool
    due_at: datetime | None
    remind_minutes_before: int | None
    created_at: datetime
    updated_at: datetime


class Place(Struct, frozen=True, array_like=True):
    """Where a page of the list ends."""

    created_at: datetime
    id: UUID


TOP: Final = Place(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


async def get_todo(pool: asyncpg.Pool, todo_id: UUID, user_id: UUID) -> TodoRow | None:
    """One to-do of its owner; None for an unknown one and for another's."""
    row = await pool.fetchrow(SQL.get_todo, todo_id, user_id)
    return TodoRow(**row) if row else None


async def erase_todos(pool: asyncpg.Pool, user_id: UUID, limit: int) -> int:
    """Take away up to so many to-dos of an erased person; how many."""
    return int(await pool.fetchval(SQL.erase_todos, user_id, limit))


async def list_todos(
    pool: asyncpg.Pool, user_id: UUID, after: Place, *, completed: bool | None, limit: int
) -> list[TodoRow]:
    """A person's to-dos after a place (`TOP`: from the first), newest first."""
    rows = await pool.fetch(SQL.list_todos, user_id, after.created_at, after.id, completed, limit)
    return [TodoRow(**row) for row in rows]
