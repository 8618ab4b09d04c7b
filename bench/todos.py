"""To-dos as benchmarks append them: what `POST /todos` and a toggle write, without their HTTP."""

from typing import Final
from uuid import UUID

from events.catalog.todos import TodoCreated
from events.catalog.types import TYPES
from events.clock import system_clock
from events.codec import Codec
from events.command import Change, Command, Context, new_command
from todos.domain import TODO, Create, Toggle
from todos.domain import Command as Wish
from todos.tables import TodoRow, row_after

_CODEC: Final = Codec(TYPES)


def created(todo_id: UUID, person: UUID) -> tuple[Command, TodoRow]:
    """A new to-do: the command, and its row after it."""
    made = TodoCreated(
        todo_id=todo_id,
        title="우유 사기",
        description=None,
        priority=2,
        completed=False,
        due_at=None,
        remind_minutes_before=None,
    )
    return _decided(Create(made), None, todo_id, person)


def toggled(row: TodoRow) -> Command:
    """An open to-do is completed."""
    return _decided(Toggle(), row, row.id, row.user_id)[0]


def _decided(wish: Wish, row: TodoRow | None, todo_id: UUID, person: UUID) -> tuple[Command, TodoRow]:
    now = system_clock()
    events = TODO.decide(wish, row)
    state = row_after(row, events[0], now, person)
    assert state is not None
    context = Context(time=now, correlation_id=str(todo_id), actor=str(person), traceparent="")
    expected = row.version if row else 0
    change = Change(aggregate=todo_id, expected=expected, subject=person, events=events, kind="todo", state=state)
    return new_command(_CODEC, context, change), state
