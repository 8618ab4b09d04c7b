"""To-dos over HTTP. A write decides on the current state and appends; see libs/api for what is around it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from random import uniform
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
from litestar import get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct, convert
from msgspec.structs import asdict

from api.answers import Answer, Envelope, Page, answer, page
from api.conditions import require_match
from api.guard import signed_in
from api.idempotency import Intent, intent_of, kept, running, settled
from api.messages import Message, Text
from api.pages import Cursor, Limit, from_cursor, to_cursor
from api.problems import INVALID, NOT_FOUND, FieldError, Problem
from api.requests import Request, context_of
from events.catalog.types import TYPES
from events.clock import Clock
from events.codec import Codec
from events.command import Change, Command, Context, new_command
from events.errors import VersionConflict
from events.ids import uuid7
from events.log import Log
from todos.domain import TODO, Create, Description, Moment, Priority, RemindMinutes, Title, Toggle
from todos.domain import Command as TodoCommand
from todos.domain import Todo as State
from todos.tables import TOP, Place, TodoRow, get_todo, list_todos

CODEC: Final = Codec(TYPES)
TRIES: Final = 5

CREATED: Final = Message(key="todo.created", en="Todo created successfully", ko="할 일이 생성되었습니다")
TOGGLED: Final = Message(key="todo.toggled", en="Todo toggled successfully", ko="할 일의 완료 상태가 변경되었습니다")
FOUND: Final = Message(key="todo.found", en="Todo retrieved successfully", ko="할 일을 조회했습니다")
LISTED: Final = Message(key="todo.listed", en="Todos retrieved successfully", ko="할 일 목록을 조회했습니다")

_TOO_FAR: Final = FieldError("due_at", "out_of_range", Text("is out of range", "허용 범위를 벗어났습니다"))


class NewTodo(Struct, frozen=True, kw_only=True):
    """What a client sends to make a to-do."""

    title: Title
    description: Description | None = None
    priority: Priority = 3
    due_at: Moment | None = None
    remind_minutes_before: RemindMinutes | None = None


class Todo(Struct, frozen=True, kw_only=True):
    """A to-do as clients see it; `version` is what `ETag` and `If-Match` speak of."""

    id: UUID
    title: str
    description: str | None
    priority: int
    completed: bool
    due_at: datetime | None
    remind_minutes_before: int | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Todos:
    """What the handlers work with."""

    log: Log
    pool: asyncpg.Pool
    now: Clock


Parts: TypeAlias = NamedDependency[Todos]


@post("/todos", guards=[signed_in])
async def create(request: Request, data: JSONBody[NewTodo], todos: Parts) -> Answer[Envelope[Todo]]:
    """Create a to-do."""
    intent = await intent_of(request)
    with running(request, intent):
        context, todo_id = context_of(request, todos.now()), uuid7()
        fields = asdict(data) | {"due_at": _in_utc(data.due_at)}
        change, row = _change(Create(todo_id=todo_id, **fields), None, request.user.id, context)
        created = answer(request, CREATED, _shown(row), status=201, version=1, location=f"/todos/{todo_id}")
        appended = await todos.log.append(_command(context, change, intent, created))
        return settled(created, appended, todos.log.feed)


@get("/todos", guards=[signed_in])
async def browse(
    request: Request,
    todos: Parts,
    *,
    limit: Limit = 20,
    cursor: Cursor = None,
    completed: FromQuery[bool | None] = None,
) -> Answer[Page[Todo]]:
    """List your to-dos, newest first."""
    after = from_cursor(cursor, Place) if cursor else TOP
    rows = await list_todos(todos.pool, request.user.id, after, completed=completed, limit=limit + 1)
    more = to_cursor(convert(rows[limit - 1], Place, from_attributes=True)) if len(rows) > limit else None
    return page(request, LISTED, [_shown(row) for row in rows[:limit]], more)


@get("/todos/{todo_id:uuid}", guards=[signed_in])
async def show(request: Request, todos: Parts, todo_id: FromPath[UUID]) -> Answer[Envelope[Todo]]:
    """Get one of your to-dos."""
    row = await _own(request, todos, todo_id)
    return answer(request, FOUND, _shown(row), version=row.version)


@patch("/todos/{todo_id:uuid}/toggle", guards=[signed_in])
async def toggle(request: Request, todos: Parts, todo_id: FromPath[UUID]) -> Answer[Envelope[Todo]]:
    """Complete an open to-do, reopen a completed one. Takes no body."""
    intent = await intent_of(request)

    async def attempt() -> Answer[Envelope[Todo]]:
        row = await _own(request, todos, todo_id)
        require_match(request, row.version)
        context = context_of(request, todos.now())
        change, after = _change(Toggle(), row, request.user.id, context)
        toggled = answer(request, TOGGLED, _shown(after), version=after.version)
        appended = await todos.log.append(_command(context, change, intent, toggled))
        return settled(toggled, appended, todos.log.feed)

    with running(request, intent):
        try:
            return await _decided_again(attempt)
        except Problem:
            # The first try may have made true what now refuses its repeat.
            if (first := await kept(todos.pool, intent, todos.log.feed)) is not None:
                return first
            raise


ROUTES: Final = (create, browse, show, toggle)


def _in_utc(moment: datetime | None) -> datetime | None:
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError:
        raise Problem(INVALID, errors=[_TOO_FAR]) from None


async def _own(request: Request, todos: Todos, todo_id: UUID) -> TodoRow:
    row = await get_todo(todos.pool, todo_id, request.user.id)
    if row is None:
        raise Problem(NOT_FOUND)
    return row


def _change(command: TodoCommand, row: TodoRow | None, user_id: UUID, context: Context) -> tuple[Change, TodoRow]:
    """What a command does to a to-do, and its row afterwards."""
    before = convert(row, State, from_attributes=True) if row else None
    version = row.version if row else 0
    events = TODO.decide(command, before)
    state = TODO.fold(events, before)
    assert state is not None  # noqa: S101 - both commands leave a to-do
    after = TodoRow(
        **asdict(state),
        user_id=user_id,
        version=version + len(events),
        created_at=row.created_at if row else context.time,
        updated_at=context.time,
    )
    change = Change(aggregate=state.id, expected=version, subject=user_id, events=events, kind="todo", state=after)
    return change, after


def _command(context: Context, change: Change, intent: Intent | None, first: Answer[Any]) -> Command:
    key = intent.with_answer(first, context.time) if intent else None
    return new_command(CODEC, context, change, key=key)


async def _decided_again(attempt: Callable[[], Awaitable[Answer[Any]]]) -> Answer[Any]:
    """Attempt until no other command comes first; raises `VersionConflict` when that never ends."""
    for _ in range(TRIES - 1):
        with suppress(VersionConflict):
            return await attempt()
        await asyncio.sleep(uniform(0, 0.02))  # noqa: S311 - jitter, not a secret
    return await attempt()


def _shown(row: TodoRow) -> Todo:
    return convert(row, Todo, from_attributes=True)
