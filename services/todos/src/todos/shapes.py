"""What clients send and see: to-dos, edits, lists' parameters, batches. What is wrong with a field is said here."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

from litestar.params import QueryParameter
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, convert
from msgspec.structs import asdict

from api.fields import field_error
from api.messages import Text
from api.problems import INVALID, FieldError, Problem
from events.catalog.moment import Moment
from events.catalog.patch import said
from todos import recurrence
from todos.tables import TodoRow

Title = Annotated[
    str, Meta(pattern=r"\S", max_length=200, description="Kept as given; not blank", examples=["Buy milk"])
]
Description = Annotated[str, Meta(max_length=10_000, examples=["Two bottles"])]
Priority = Annotated[int, Meta(ge=1, le=5, description="1 is the highest")]
RemindMinutes = Annotated[int, Meta(ge=0, le=527_040, description="Minutes before `due_at`; a year at most")]
Zone = Annotated[
    str, Meta(min_length=1, max_length=64, description="IANA time zone, as `Asia/Seoul`", examples=["Asia/Seoul"])
]
Rule = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="RRULE of RFC 5545 in `due_zone`; completing creates the next",
        examples=["FREQ=WEEKLY"],
    ),
]
Sort: TypeAlias = Literal["created", "due", "priority"]
Order = Annotated[
    Sort, QueryParameter(description="Newest, soonest due (those without a deadline last) or most urgent first")
]
Completed = Annotated[bool | None, QueryParameter(description="Only the completed ones, or only the open ones")]
Urgency = Annotated[int | None, QueryParameter(ge=1, le=5, description="Only of this priority")]
DueAfter = Annotated[datetime | None, QueryParameter(description="Only those due at this moment or later")]
DueBefore = Annotated[datetime | None, QueryParameter(description="Only those due before this moment")]
Overdue = Annotated[bool, QueryParameter(description="Only open ones whose deadline has passed")]
Deleted = Annotated[
    bool,
    QueryParameter(description="Only those that were deleted and can be restored, the last deleted first"),
]
Count = Annotated[bool, QueryParameter(description="Also answer `total`, how many there are on all pages")]
Since = Annotated[
    int | None,
    QueryParameter(le=2**63 - 1, description="The `position` that was told; none for the present one"),
]
At = Annotated[datetime | None, QueryParameter(description="The to-do as it was at this moment; none for now")]
Search = Annotated[str | None, QueryParameter(max_length=100, description="Part of title or description, any case")]

_NO_ZONE: Final = FieldError("due_zone", "format", Text("must be an IANA time zone", "IANA 시간대여야 합니다"))
_NEEDS: Final = Text("a recurrence needs it", "반복에는 이 항목이 필요합니다")
_NO_RULE: Final = FieldError(
    "recurrence",
    "format",
    Text(
        "must be an RRULE by days, weeks, months or years that comes again within ten years",
        "10년 안에 다시 돌아오는 일·주·월·년 단위의 RRULE이어야 합니다",
    ),
)
_YEARS: Final = range(2000, 2200)
_WHEN: Final = frozenset({"due_at", "due_zone", "recurrence"})


class NewTodo(Struct, frozen=True, kw_only=True):
    """What a client sends to make a to-do."""

    title: Title
    description: Description | None = None
    priority: Priority = 3
    due_at: Moment | None = None
    due_zone: Zone | None = None
    remind_minutes_before: RemindMinutes | None = None
    recurrence: Rule | None = None


class TodoChanges(Struct, frozen=True, kw_only=True):
    """A JSON merge patch (RFC 7396): what is absent stays, null empties."""

    title: Title | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    due_at: Moment | UnsetType | None = UNSET
    due_zone: Zone | UnsetType | None = UNSET
    remind_minutes_before: RemindMinutes | UnsetType | None = UNSET
    recurrence: Rule | UnsetType | None = UNSET


class Todo(Struct, frozen=True, kw_only=True):
    """A to-do as clients see it; `version` is what `ETag` and `If-Match` speak of.

    `continues` and `next_id` are the to-dos before and after it in its recurrence.
    """

    id: UUID
    title: str
    description: str | None
    priority: int
    completed: bool
    due_at: datetime | None
    due_zone: str | None
    remind_minutes_before: int | None
    recurrence: str | None
    continues: UUID | None
    next_id: UUID | None
    version: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    deleted_at: datetime | None


class Sync(Struct, frozen=True):
    """A to-do that changed; `todo` is null where it was deleted. `position` is that of its last change."""

    id: UUID
    position: int
    todo: Todo | None


class Changes(Struct, frozen=True):
    """What changed; ask again from `position`, at once where there is `more`."""

    position: int
    more: bool
    changes: list[Sync]


class _Act(Struct, frozen=True, kw_only=True, tag_field="op"):
    id: UUID
    version: int | None = None


class CreateOne(Struct, frozen=True, kw_only=True, tag_field="op", tag="create"):
    """Create a to-do."""

    todo: NewTodo


class EditOne(_Act, frozen=True, kw_only=True, tag="edit"):
    """Edit a to-do; `version` asks for exactly that one, as `If-Match` does."""

    changes: TodoChanges


class ToggleOne(_Act, frozen=True, tag="toggle"):
    """Complete or reopen a to-do."""


class DeleteOne(_Act, frozen=True, tag="delete"):
    """Delete a to-do."""


class RestoreOne(_Act, frozen=True, tag="restore"):
    """Restore a deleted to-do."""


class UndoOne(_Act, frozen=True, tag="undo"):
    """Undo the last change of a to-do."""


Item: TypeAlias = CreateOne | EditOne | ToggleOne | DeleteOne | RestoreOne | UndoOne


class Batch(Struct, frozen=True):
    """Up to a hundred commands; those on one to-do happen in their order."""

    commands: Annotated[list[Item], Meta(min_length=1, max_length=100)]


Outcome: TypeAlias = Annotated[
    Raw,
    Meta(
        extra_json_schema={
            "anyOf": [{"$ref": "#/components/schemas/Envelope_Todo"}, {"$ref": "#/components/schemas/Problem"}]
        }
    ),
]


class Result(Struct, frozen=True):
    """What the command would have got as a request of its own: status and body, a to-do's envelope or a problem."""

    status: int
    body: Outcome


def shown(row: TodoRow) -> Todo:
    """A row as its owner sees it."""
    return convert(row, Todo, from_attributes=True)


def fields_of_new(new: NewTodo) -> dict[str, Any]:
    """The fields of `TodoCreated`; raises `Problem` (422)."""
    fields = asdict(new) | {"due_at": in_utc("due_at", new.due_at)}
    return fields | {"wall_time": None} | _when(fields, {})


def fields_of_edit(changes: TodoChanges, row: TodoRow) -> dict[str, Any]:
    """The fields to set; raises `Problem` (422) for what does not fit the to-do as it would be."""
    fields = said(changes)
    if "due_at" in fields:
        fields["due_at"] = in_utc("due_at", fields["due_at"])
    before = {name: getattr(row, name) for name in (*_WHEN, "wall_time")}
    changed = any(name in fields and fields[name] != before[name] for name in _WHEN)
    return fields | (_when(before | fields, before) if changed else {})


def _when(fields: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that follow from deadline, zone and rule; raises `Problem` (422)."""
    if errors := list(_faults(fields)):
        raise Problem(INVALID, errors=errors)
    if fields["recurrence"] is None:
        return {"wall_time": None}
    unmoved = before.get("wall_time") and all(before[name] == fields[name] for name in ("due_at", "due_zone"))
    wall = before["wall_time"] if unmoved else recurrence.wall_time(fields["due_at"], fields["due_zone"])
    try:
        rule = recurrence.canonical(fields["recurrence"], wall, fields["due_zone"])
    except recurrence.BadRule:
        raise Problem(INVALID, errors=[_NO_RULE]) from None
    return {"recurrence": rule, "wall_time": wall}


def _faults(fields: Mapping[str, Any]) -> Iterator[FieldError]:
    if fields["due_zone"] is not None and not _is_zone(fields["due_zone"]):
        yield _NO_ZONE
    if fields["recurrence"] is not None:
        yield from (FieldError(name, "required", _NEEDS) for name in ("due_at", "due_zone") if fields[name] is None)
        if fields["due_at"] is not None and fields["due_at"].year not in _YEARS:
            yield field_error("due_at", "out of range")


def _is_zone(name: str) -> bool:
    try:
        recurrence.zone_of(name)
    except LookupError:
        return False
    return True


def in_utc(field: str, moment: datetime | None) -> datetime | None:
    """A moment that a client named; raises `Problem` (422) where it names none."""
    if moment is not None and moment.tzinfo is None:
        raise Problem(INVALID, errors=[field_error(field, "has no timezone")])
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError:
        raise Problem(INVALID, errors=[field_error(field, "out of range")]) from None
