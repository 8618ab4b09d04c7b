"""What todos says, in feed TODOS."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from events.catalog.moment import Moment

WallTime = Annotated[datetime, msgspec.Meta(tz=False)]
"""What a clock on a wall shows, in a zone that is named beside it."""


class TodoCreated(msgspec.Struct, frozen=True, kw_only=True):
    """A to-do came to be. `priority` runs from 1 (highest) to 5.

    `recurrence` is an RRULE (RFC 5545) in the zone `due_zone`, `wall_time` when it names this occurrence; `due_at` is
    that moment (later where the clocks skip it). `continues`: the to-do whose completion made this one.
    """

    todo_id: UUID
    title: str
    description: str | None
    priority: int
    completed: bool
    due_at: Moment | None
    remind_minutes_before: int | None
    due_zone: str | None = None
    recurrence: str | None = None
    wall_time: WallTime | None = None
    continues: UUID | None = None


class TodoToggled(msgspec.Struct, frozen=True, kw_only=True):
    """A to-do was completed or reopened; `completed` is the state after it. `next_id`: how its recurrence goes on."""

    todo_id: UUID
    title: str
    priority: int
    completed: bool
    next_id: UUID | None = None


class TodoEdited(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a to-do were changed; only those that changed are there."""

    todo_id: UUID
    title: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    priority: int | UnsetType = UNSET
    due_at: Moment | UnsetType | None = UNSET
    remind_minutes_before: int | UnsetType | None = UNSET
    due_zone: str | UnsetType | None = UNSET
    recurrence: str | UnsetType | None = UNSET
    wall_time: WallTime | UnsetType | None = UNSET


class TodoDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """A to-do was put away; it can be restored until it is purged."""

    todo_id: UUID
    title: str
    priority: int
    completed: bool


class TodoRestored(msgspec.Struct, frozen=True, kw_only=True):
    """A deleted to-do came back as it was."""

    todo_id: UUID
    title: str
    priority: int
    completed: bool


class TodoPurged(msgspec.Struct, frozen=True, kw_only=True):
    """A to-do that was deleted long ago is gone for good."""

    todo_id: UUID


class TodoDueSoon(msgspec.Struct, frozen=True, kw_only=True):
    """An open to-do's reminder came; once for each deadline that it ever had, and only before that passed."""

    todo_id: UUID
    title: str
    priority: int
    due_at: Moment
    due_zone: str | None


class TodoOverdue(msgspec.Struct, frozen=True, kw_only=True):
    """An open to-do's deadline passed; once for each deadline that it ever had."""

    todo_id: UUID
    title: str
    priority: int
    due_at: Moment
    due_zone: str | None


Event: TypeAlias = (
    TodoCreated | TodoToggled | TodoEdited | TodoDeleted | TodoRestored | TodoPurged | TodoDueSoon | TodoOverdue
)

TYPES: dict[str, type[msgspec.Struct]] = {
    "todos.TodoCreated.v1": TodoCreated,
    "todos.TodoToggled.v1": TodoToggled,
    "todos.TodoEdited.v1": TodoEdited,
    "todos.TodoDeleted.v1": TodoDeleted,
    "todos.TodoRestored.v1": TodoRestored,
    "todos.TodoPurged.v1": TodoPurged,
    "todos.TodoDueSoon.v1": TodoDueSoon,
    "todos.TodoOverdue.v1": TodoOverdue,
}
