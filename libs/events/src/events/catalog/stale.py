"""When news of a to-do is no longer true: what still waits to be told is not worth telling then. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import UNSET

from events.catalog.todos import TodoDeleted, TodoEdited, TodoToggled

StaleKind: TypeAlias = Literal["completion", "due_soon", "overdue"]
"""News of a to-do, as mailer and notifier call them."""
STALE_BY: Final = (TodoToggled, TodoEdited, TodoDeleted)
"""The events that make news untrue."""
_REMINDERS: Final[tuple[StaleKind, ...]] = ("due_soon", "overdue")


def made_stale(event: object) -> tuple[StaleKind, ...]:
    """The kinds of news about its to-do that an event makes untrue.

    Nobody is reminded of what is done, gone or moved, nor told of a completion that was undone.
    """
    match event:
        case TodoToggled(completed=completed):
            return _REMINDERS if completed else ("completion",)
        case TodoEdited(due_at=due_at):
            return () if due_at is UNSET else _REMINDERS
        case TodoDeleted():
            return _REMINDERS
    return ()


def stale_before(events: Iterable[tuple[object, datetime]]) -> dict[tuple[UUID, StaleKind], datetime]:
    """For events and when they happened: before when news of a to-do and kind is untrue."""
    before: dict[tuple[UUID, StaleKind], datetime] = {}
    for event, at in events:
        if isinstance(event, STALE_BY):
            for kind in made_stale(event):
                before[event.todo_id, kind] = max(at, before.get((event.todo_id, kind), at))
    return before
