"""A to-do: its commands, its state, what it decides and how it evolves. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from events.catalog.todos import TodoCreated, TodoToggled
from events.decider import Decider

Title = Annotated[str, Meta(pattern=r"\S", max_length=200, description="Kept as given; not blank")]
Description = Annotated[str, Meta(max_length=10_000)]
Priority = Annotated[int, Meta(ge=1, le=5, description="1 is the highest")]
Moment = Annotated[datetime, Meta(tz=True)]
RemindMinutes = Annotated[int, Meta(ge=0, le=527_040, description="Minutes before `due_at`; a year at most")]

Event: TypeAlias = TodoCreated | TodoToggled


class Create(Struct, frozen=True, kw_only=True):
    """Make a to-do under an id that the caller chose."""

    todo_id: UUID
    title: Title
    description: Description | None
    priority: Priority
    due_at: Moment | None
    remind_minutes_before: RemindMinutes | None


class Toggle(Struct, frozen=True):
    """Complete an open to-do, reopen a completed one."""


Command: TypeAlias = Create | Toggle


class Todo(Struct, frozen=True, kw_only=True):
    """What its events made of a to-do."""

    id: UUID
    title: str
    description: str | None
    priority: int
    completed: bool
    due_at: datetime | None
    remind_minutes_before: int | None


class NoSuchTodo(Exception):
    """There is no to-do to change."""


def decide(command: Command, todo: Todo | None) -> Sequence[Event]:
    """The events of a command; none where it is already so. Raises `NoSuchTodo`."""
    match command:
        case Create():
            return [] if todo else [TodoCreated(completed=False, **asdict(command))]
        case Toggle():
            return [_toggled(todo)]


def _toggled(todo: Todo | None) -> TodoToggled:
    if todo is None:
        raise NoSuchTodo
    return TodoToggled(todo_id=todo.id, title=todo.title, priority=todo.priority, completed=not todo.completed)


def evolve(todo: Todo | None, event: Event) -> Todo | None:
    """The state after one more event."""
    match event:
        case TodoCreated():
            fields = asdict(event)
            return Todo(id=fields.pop("todo_id"), **fields)
        case TodoToggled():
            return todo and replace(todo, completed=event.completed)


TODO: Decider[Command, Event, Todo | None] = Decider(decide, evolve, None)
