"""What the writing routes do: load, decide, append, and answer what the append kept."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
from msgspec import Struct

from api.answers import Answer, Envelope, answer
from api.conditions import require_match
from api.idempotency import Intent, once, settled
from api.messages import Message, Text
from api.problems import NOT_FOUND, Kind, Problem
from api.requests import Request, context_of
from events.batcher import Batcher
from events.catalog.todos import TodoCreated
from events.clock import Clock
from events.command import Change, Command, Context, new_command
from events.errors import VersionConflict
from events.ids import uuid7
from events.log import Log
from todos import recurrence
from todos.domain import TODO, Create, Edit, NoSuchTodo, Toggle
from todos.domain import Command as TodoCommand
from todos.history import CODEC, compensation, is_untouched, past_of
from todos.shapes import Todo, TodoChanges, fields_of_edit, shown
from todos.tables import TodoRow, Wanted, count_kept, rows_after

CREATED: Final = Message(key="todo.created", en="Todo created successfully", ko="할 일이 생성되었습니다")
EDITED: Final = Message(key="todo.updated", en="Todo updated successfully", ko="할 일이 수정되었습니다")
TOGGLED: Final = Message(key="todo.toggled", en="Todo toggled successfully", ko="할 일의 완료 상태가 변경되었습니다")
DELETED: Final = Message(key="todo.deleted", en="Todo deleted successfully", ko="할 일이 삭제되었습니다")
RESTORED: Final = Message(key="todo.restored", en="Todo restored successfully", ko="할 일이 복원되었습니다")
UNDONE: Final = Message(key="todo.undone", en="Last change undone", ko="마지막 변경을 되돌렸습니다")
FULL: Final = Kind(
    status=409,
    code="todo.quota_reached",
    title=Text("No more to-dos", "할 일을 더 만들 수 없습니다"),
    detail=Text(
        "You have as many to-dos as you may keep; delete some, then try again.",
        "보관할 수 있는 할 일 수에 도달했습니다. 일부를 삭제한 뒤 다시 시도하세요.",
    ),
)
_PASSED_ON: Final = (
    "title",
    "description",
    "priority",
    "due_at",
    "due_zone",
    "remind_minutes_before",
    "recurrence",
    "wall_time",
)
_REMEMBERED: Final = 10_000
_FOR: Final = 60.0


class Quota:
    """How many to-dos a person may keep. A brake, not an invariant: what is in flight at the border still gets in.

    Who has much room left is not counted again for each to-do: half of the room is given out in advance for a minute.
    People are counted together: after a restart all that came meanwhile would each ask. `run` must run.
    """

    def __init__(self, pool: asyncpg.Pool, most: int) -> None:
        self._most = most
        self._kept: Batcher[UUID, int] = Batcher(partial(count_kept, pool, most))
        self._room: OrderedDict[UUID, tuple[int, float]] = OrderedDict()
        self.run = self._kept.run

    async def take(self, user_id: UUID) -> None:
        """Take one; raises `Problem` (409) where none is left."""
        if not self._has_room(user_id):
            room = self._most - await self._kept(user_id)
            if not self._has_room(user_id):  # nobody else's answer came first
                if room <= 0:
                    raise Problem(FULL)
                self._room[user_id] = ((room + 1) // 2, monotonic() + _FOR)
        left, until = self._room[user_id]
        self._room[user_id] = (left - 1, until)
        self._room.move_to_end(user_id)
        if len(self._room) > _REMEMBERED:
            self._room.popitem(last=False)

    def _has_room(self, user_id: UUID) -> bool:
        left, until = self._room.get(user_id, (0, 0.0))
        return left > 0 and monotonic() <= until


@dataclass(frozen=True, slots=True)
class Todos:
    """What the handlers work with; `find` gives a to-do of its owner, deleted or not."""

    log: Log
    pool: asyncpg.Pool
    find: Callable[[Wanted], Awaitable[TodoRow | None]]
    now: Clock
    quota: Quota


class Write(Struct, frozen=True):
    """One write: who asks, under which Idempotency-Key, on which version (as `If-Match` says it)."""

    todos: Todos
    request: Request
    intent: Intent | None = None
    if_match: str | None = None

    @property
    def user_id(self) -> UUID:
        """The person whose to-dos are written."""
        return self.request.user.id


Step: TypeAlias = tuple[TodoCommand, TodoRow | None]
"""A command and the to-do that it is for."""
Plan: TypeAlias = Callable[[Todos, TodoRow, datetime], Awaitable[Sequence[Step]]]
"""What a request does to a to-do, at a moment; the first step is for the to-do itself."""


async def create(write: Write, fields: dict[str, Any]) -> Answer[Envelope[Todo]]:
    """Create a to-do of these fields (of `TodoCreated`)."""

    async def attempt() -> Answer[Envelope[Todo]]:
        await write.todos.quota.take(write.user_id)
        context, todo_id = context_of(write.request, write.todos.now()), uuid7()
        new = Create(TodoCreated(todo_id=todo_id, completed=False, **fields))
        change, row = _change((new, None), write.user_id, context)
        created = answer(write.request, CREATED, shown(row), status=201, version=1, location=f"/todos/{todo_id}")
        return await _append(write, [change], context, created)

    return await once(write.todos.pool, write.intent, write.todos.log.feed, attempt)


async def change(write: Write, todo_id: UUID, message: Message, plan: Plan) -> Answer[Envelope[Todo]]:
    """Do to a to-do what `plan` says, deciding again while other commands come first; raises `Problem`."""

    async def attempt() -> Answer[Envelope[Todo]]:
        row, context = await own(write.todos, write.user_id, todo_id), context_of(write.request, write.todos.now())
        try:
            steps = await plan(write.todos, row, context.time)
            decided = [_change(step, write.user_id, context) for step in steps]
        except NoSuchTodo:
            raise Problem(NOT_FOUND) from None
        require_match(write.if_match, row.version)
        after = decided[0][1]
        if row.deleted and not after.deleted:  # kept again
            await write.todos.quota.take(write.user_id)
        changed = answer(write.request, message, shown(after), version=after.version)
        return await _append(write, [change for change, _ in decided], context, changed)

    return await once(write.todos.pool, write.intent, write.todos.log.feed, attempt)


async def own(todos: Todos, user_id: UUID, todo_id: UUID) -> TodoRow:
    """A person's to-do, deleted or not; raises `Problem` (404)."""
    row = await todos.find((todo_id, user_id))
    if row is None:
        raise Problem(NOT_FOUND)
    return row


def simply(command: TodoCommand) -> Plan:
    """The plan of one command."""

    async def plan(_: Todos, row: TodoRow, __: datetime) -> Sequence[Step]:
        return [(command, row)]

    return plan


def edited(changes: TodoChanges) -> Plan:
    """The plan of a merge patch."""

    async def plan(_: Todos, row: TodoRow, __: datetime) -> Sequence[Step]:
        return [(Edit(fields_of_edit(changes, row)), row)]

    return plan


async def toggled(todos: Todos, row: TodoRow, now: datetime) -> Sequence[Step]:
    """Toggle it. One that recurs goes on as another when it is completed; reopened, it takes that back if untouched."""
    successor = await todos.find((row.next_id, row.user_id)) if row.next_id else None
    if row.completed or row.deleted:
        return [(Toggle(), row), *await _taken_back(todos, successor)]
    following = _following(row, now)
    if following is None or (successor and not successor.deleted):
        return [(Toggle(), row)]
    if successor and all(getattr(successor, name) == getattr(following, name) for name in _PASSED_ON):
        return [(Toggle(), row), ("restore", successor)]
    return [(Toggle(following.todo_id), row), (Create(following), None)]


def _following(row: TodoRow, now: datetime) -> TodoCreated | None:
    """What it would go on as, completed now; None where it does not recur or no more."""
    if not (row.recurrence and row.wall_time and row.due_zone):
        return None
    found = recurrence.following(row.recurrence, row.wall_time, row.due_zone, now)
    if found is None:
        return None
    when = {"due_at": found.due_at, "recurrence": found.rule, "wall_time": found.wall_time}
    fields = {name: getattr(row, name) for name in _PASSED_ON} | when
    return TodoCreated(todo_id=uuid7(), completed=False, continues=row.id, **fields)


async def _taken_back(todos: Todos, successor: TodoRow | None) -> Sequence[Step]:
    if successor is None or successor.deleted or not is_untouched(await past_of(todos.pool, successor.id)):
        return []
    return [("delete", successor)]


async def undone(todos: Todos, row: TodoRow, now: datetime) -> Sequence[Step]:
    """Take back the last change; done once more, it is made again."""
    past = await past_of(todos.pool, row.id)
    if not past or past[-1].after is None or past[-1].after.version != row.version:
        raise VersionConflict("the to-do changed between two reads; decide again")
    command = compensation(past)
    if command is None:
        raise NoSuchTodo
    return await toggled(todos, row, now) if isinstance(command, Toggle) else [(command, row)]


def _change(step: Step, user_id: UUID, context: Context) -> tuple[Change, TodoRow]:
    """What a command does to a to-do, and its row afterwards."""
    command, row = step
    events = TODO.decide(command, row)
    after = rows_after(row, events, context.time, user_id)
    assert after is not None  # noqa: S101 - no request purges
    version = row.version if row else 0
    state = after if events else None
    return Change(aggregate=after.id, expected=version, subject=user_id, events=events, kind="todo", state=state), after


async def _append(write: Write, changes: Sequence[Change], context: Context, first: Answer[Any]) -> Answer[Any]:
    key = write.intent.with_answer(first, context.time) if write.intent else None
    command: Command = new_command(CODEC, context, *changes, key=key)
    return settled(first, await write.todos.log.append(command), write.todos.log.feed)
