"""What happened to a to-do: who changed what and when, what it was at a moment, what undoes its last change."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, cast
from uuid import UUID

import asyncpg
from msgspec import Struct

from api.messages import Locale, Text
from events.catalog.todos import (
    TYPES,
    Event,
    TodoCreated,
    TodoDeleted,
    TodoDueSoon,
    TodoEdited,
    TodoOverdue,
    TodoRestored,
    TodoToggled,
)
from events.codec import Codec
from todos.domain import Command, Edit, Toggle, edits
from todos.tables import TodoRow, read_aggregate, row_after

CODEC: Final = Codec(TYPES)
CLOCK: Final = "clock"
"""The actor of what the service does by itself."""

Action: TypeAlias = Literal["created", "edited", "completed", "reopened", "deleted", "restored", "due_soon", "overdue"]

_WORDS: Final[dict[Action, Text]] = {
    "created": Text("Created “{title}”", "{title} 생성"),
    "edited": Text("Changed {what}", "변경: {what}"),
    "completed": Text("Completed “{title}”", "{title} 완료"),
    "reopened": Text("Reopened “{title}”", "{title} 다시 열림"),
    "deleted": Text("Deleted “{title}”", "{title} 삭제"),
    "restored": Text("Restored “{title}”", "{title} 복원"),
    "due_soon": Text("“{title}” is due soon", "{title} 마감 임박"),
    "overdue": Text("“{title}” is overdue", "{title} 기한 초과"),
}
_ACTIONS: Final[dict[type, Action]] = {
    TodoCreated: "created",
    TodoEdited: "edited",
    TodoDeleted: "deleted",
    TodoRestored: "restored",
    TodoDueSoon: "due_soon",
    TodoOverdue: "overdue",
}
_FIELDS: Final = {
    "title": Text("title", "제목"),
    "description": Text("description", "설명"),
    "priority": Text("priority", "우선순위"),
    "due_at": Text("deadline", "마감 시각"),
    "due_zone": Text("time zone", "시간대"),
    "remind_minutes_before": Text("reminder", "미리 알림"),
    "recurrence": Text("recurrence", "반복"),
}


class Past(Struct, frozen=True):
    """An event of a to-do, and the to-do's rows before and after it."""

    event: Event
    seq: int
    time: datetime
    actor: str
    before: TodoRow | None
    after: TodoRow | None


class FieldChange(Struct, frozen=True, rename={"old": "from", "new": "to"}):
    """One field's value before and after."""

    field: str
    old: str | int | bool | None
    new: str | int | bool | None


class Entry(Struct, frozen=True, kw_only=True):
    """One change of a to-do. `by` is the person who made it, null for the service's clock."""

    version: int
    action: Action
    at: datetime
    by: UUID | None
    words: str
    changes: list[FieldChange]
    position: int


async def past_of(pool: asyncpg.Pool, todo_id: UUID) -> list[Past]:
    """The events of a to-do in their order."""
    return list(replayed(await read_aggregate(pool, todo_id)))


def replayed(records: Sequence[asyncpg.Record]) -> Iterator[Past]:
    """Fold the log's rows of one to-do, step by step. Erased ones are passed over."""
    row: TodoRow | None = None
    for record in records:
        event = cast("Event | None", CODEC.decode(record["type"], record["data"]))
        if event is not None:
            before, row = row, row_after(row, event, record["time"], record["subject"])
            yield Past(event, record["seq"], record["time"], record["actor"], before, row)


def at(past: Sequence[Past], moment: datetime) -> TodoRow | None:
    """The to-do as it was at a moment, deleted or not; None before it was made."""
    return next((step.after for step in reversed(past) if step.time <= moment), None)


def compensation(past: Sequence[Past]) -> Command | None:
    """The command that takes back the last change that a person made; undone once more, it makes that change again."""
    last = next((step for step in reversed(past) if step.actor != CLOCK), None)
    match last and last.event:
        case TodoCreated() | TodoRestored():
            return "delete"
        case TodoDeleted():
            return "restore"
        case TodoToggled():
            return Toggle()
        case TodoEdited() as edited if last:
            return Edit({name: getattr(last.before, name) for name in edits(edited)})
    return None


def is_untouched(past: Sequence[Past]) -> bool:
    """Whether nobody has changed a to-do since it was made, beyond putting it away and bringing it back."""
    return not any(isinstance(step.event, TodoEdited | TodoToggled) for step in past)


def entry_of(step: Past, locale: Locale) -> Entry:
    """A change as its owner reads it."""
    action, changes = _action(step.event), list(_changes(step))
    what = ", ".join(_FIELDS[change.field].to(locale) for change in changes if change.field != "completed")
    row = step.after or step.before
    return Entry(
        version=row.version if row else 0,
        action=action,
        at=step.time,
        by=None if step.actor == CLOCK else UUID(step.actor),
        words=_WORDS[action].to(locale, **_used(action, title=row.title if row else "", what=what)),
        changes=changes,
        position=step.seq,
    )


def _used(action: Action, **values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if f"{{{name}}}" in _WORDS[action].en}


def _action(event: Event) -> Action:
    if isinstance(event, TodoToggled):
        return "completed" if event.completed else "reopened"
    return _ACTIONS[type(event)]


def _changes(step: Past) -> Iterator[FieldChange]:
    if isinstance(step.event, TodoEdited):
        for field, new in edits(step.event).items():
            if field in _FIELDS:  # what a to-do shows of itself
                yield FieldChange(field, _shown(getattr(step.before, field)), _shown(new))
    elif isinstance(step.event, TodoToggled):
        yield FieldChange("completed", not step.event.completed, step.event.completed)


def _shown(value: Any) -> str | int | None:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
