"""What todos says, in feed TODOS."""

from uuid import UUID

import msgspec

from events.catalog.moment import Moment


class TodoCreated(msgspec.Struct, frozen=True, kw_only=True):
    """A to-do came to be. `priority` runs from 1 (highest) to 5."""

    todo_id: UUID
    title: str
    description: str | None
    priority: int
    completed: bool
    due_at: Moment | None
    remind_minutes_before: int | None


class TodoToggled(msgspec.Struct, frozen=True, kw_only=True):
    """A to-do was completed or reopened; `completed` is the state after it."""

    todo_id: UUID
    title: str
    priority: int
    completed: bool


TYPES: dict[str, type[msgspec.Struct]] = {
    "todos.TodoCreated.v1": TodoCreated,
    "todos.TodoToggled.v1": TodoToggled,
}
