"""A to-do: its state, its commands, what it decides and how it evolves. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict, replace

from events.catalog.patch import said
from events.catalog.todos import (
    Event,
    TodoCreated,
    TodoDeleted,
    TodoDueSoon,
    TodoEdited,
    TodoOverdue,
    TodoPurged,
    TodoRestored,
    TodoToggled,
)
from events.decider import Decider

_FIRST: Final = datetime(3, 1, 1, tzinfo=UTC)  # no reminder is earlier than the calendar


class Todo(Struct, frozen=True, kw_only=True):
    """What its events made of a to-do. `reminded`, `overdue`: the deadlines of which it was said already."""

    id: UUID
    title: str
    description: str | None
    priority: int
    completed: bool
    due_at: datetime | None
    remind_minutes_before: int | None
    due_zone: str | None
    recurrence: str | None
    wall_time: datetime | None
    continues: UUID | None
    next_id: UUID | None = None
    deleted: bool = False
    reminded: tuple[datetime, ...] = ()
    overdue: tuple[datetime, ...] = ()


class Create(Struct, frozen=True):
    """Make a to-do, under an id that the caller chose."""

    todo: TodoCreated


class Edit(Struct, frozen=True):
    """Set these fields, by name, to these values."""

    fields: dict[str, Any]


class Toggle(Struct, frozen=True):
    """Complete an open to-do, reopen a completed one; `next_id` is for what its recurrence goes on as."""

    next_id: UUID | None = None


class Ring(Struct, frozen=True):
    """The service's clock looks at it."""

    now: datetime


Move: TypeAlias = Literal["delete", "restore", "purge"]  # put away, bring back, let go for good what was put away
Command: TypeAlias = Create | Edit | Toggle | Ring | Move


class NoSuchTodo(Exception):
    """There is no such to-do, or it is deleted and must be restored first."""


def decide(command: Command, todo: Todo | None) -> Sequence[Event]:
    """The events of a command; none where it is already so. Raises `NoSuchTodo`."""
    if isinstance(command, Create):
        return [] if todo else [command.todo]
    if todo is None or (todo.deleted and (command == "delete" or isinstance(command, Edit | Toggle))):
        raise NoSuchTodo
    details: dict[str, Any] = {n: getattr(todo, n) for n in ("title", "priority", "completed")} | {"todo_id": todo.id}
    match command:
        case Edit():
            news = {name: value for name, value in command.fields.items() if getattr(todo, name) != value}
            return [TodoEdited(todo_id=todo.id, **news)] if news else []
        case Toggle():
            return [TodoToggled(**details | {"completed": not todo.completed}, next_id=command.next_id)]
        case Ring():
            return _rung(todo, command.now)
    return _moved(command, todo, details)


def _moved(move: Move, todo: Todo, details: dict[str, Any]) -> Sequence[Event]:
    if move == "delete":
        return [TodoDeleted(**details)]
    if not todo.deleted:
        return []
    return [TodoRestored(**details) if move == "restore" else TodoPurged(todo_id=todo.id)]


def alarm_at(todo: Todo) -> datetime | None:
    """When the clock has to look at a to-do next; None for never."""
    if todo.completed or todo.deleted or todo.due_at is None or todo.due_at in todo.overdue:
        return None
    if todo.remind_minutes_before is None or todo.due_at in todo.reminded:
        return todo.due_at
    return max(todo.due_at, _FIRST) - timedelta(minutes=todo.remind_minutes_before)


def _rung(todo: Todo, now: datetime) -> Sequence[Event]:
    """A reminder that was missed is not made good once the deadline has passed."""
    alarm = alarm_at(todo)
    if todo.due_at is None or alarm is None or now < alarm:
        return []
    kind = TodoDueSoon if now < todo.due_at else TodoOverdue
    return [kind(todo_id=todo.id, title=todo.title, priority=todo.priority, due_at=todo.due_at, due_zone=todo.due_zone)]


def evolve(todo: Todo | None, event: Event) -> Todo | None:
    """The state after one more event."""
    if isinstance(event, TodoCreated):
        fields = asdict(event)
        return Todo(id=fields.pop("todo_id"), **fields)
    return None if todo is None or isinstance(event, TodoPurged) else replace(todo, **_news(todo, event))


def _news(todo: Todo, event: Event) -> dict[str, Any]:
    match event:
        case TodoToggled():
            return {"completed": event.completed, "next_id": event.next_id or todo.next_id}
        case TodoEdited():
            return edits(event)
        case TodoDueSoon():
            return {"reminded": (*todo.reminded, event.due_at)}
        case TodoOverdue():
            return {"overdue": (*todo.overdue, event.due_at)}
    return {"deleted": isinstance(event, TodoDeleted)}


def edits(event: TodoEdited) -> dict[str, Any]:
    """The fields that were changed, with their new values."""
    return {name: value for name, value in said(event).items() if name != "todo_id"}


TODO: Final[Decider[Command, Event, Todo | None]] = Decider(decide, evolve, None)
