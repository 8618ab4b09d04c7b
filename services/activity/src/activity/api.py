"""A person's own activity over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Meta, Raw, Struct, convert

from activity.domain import ACTIONS, Action, KnownTodo
from activity.tables import TOP, EntryRow, Place, Wanted, list_all_entries, list_entries
from api.answers import Answer, Page, page
from api.guard import has_role, signed_in
from api.messages import Message
from api.pages import Cursor, Limit, from_cursor, to_cursor
from api.position import wait_for_position
from api.requests import Request
from api.routes import get
from events.catalog.feeds import HEARS
from events.catalog.moment import Moment
from events.consumer import heard_up_to

NAME: Final = "activity"

LISTED: Final = Message(key="activity.listed", en="Activity retrieved successfully", ko="활동 기록을 조회했습니다")

_EXAMPLE: Final = {
    "todo_id": "01a20814-539f-7708-909d-2061a066dbb9",
    "title": "Buy milk",
    "priority": 3,
    "completed": False,
}


def details_schema() -> dict[str, Any]:
    """What `details` may hold, as a JSON Schema: every field that some action shows, as its event has it."""
    events = tuple(ACTIONS)
    (*schemas, todo), parts = msgspec.json.schema_components((*events, KnownTodo))
    shown: dict[str, list[Any]] = {}
    for event, schema in zip(events, schemas, strict=True):
        own = _properties(parts, schema)
        for name in ACTIONS[event][1]:
            if own[name] not in shown.setdefault(name, []):
                shown[name].append(own[name])
    told = {name: {"type": kind["type"]} for name, kind in _properties(parts, todo).items() if name != "id"}
    named = {"type": "array", "items": {"type": "string"}}
    return {
        "type": "object",
        "properties": {
            "todo_id": {"type": "string", "format": "uuid"},
            **told,
            "changed": named,
            "due_at": {"type": "string", "format": "date-time"},
            "fields": named,
            **{name: found[0] if len(found) == 1 else {"anyOf": found} for name, found in shown.items()},
        },
        "examples": [_EXAMPLE],
    }


def _properties(parts: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = parts[schema["$ref"].rpartition("/")[2]]["properties"]
    return properties


Since = Annotated[Moment | None, QueryParameter(description="Entries from this moment on")]
Until = Annotated[Moment | None, QueryParameter(description="Entries before this moment")]
Details: TypeAlias = Annotated[Raw, Meta(extra_json_schema=details_schema())]


class Entry(Struct, frozen=True):
    """What happened, and when; `details` depend on the action: a to-do's always have all four keys.

    `id` is its event's, which is number `seq` of `feed`.
    """

    id: UUID
    action: Annotated[Action, Meta(examples=["todo_created"])]
    details: Details
    at: datetime
    feed: Annotated[str, Meta(examples=["TODOS"])]
    seq: int


class Anyones(Entry, frozen=True, kw_only=True):
    """The same, and whose it is."""

    user_id: UUID


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, slots=True)
class Activity:
    """What the handlers work with."""

    pool: asyncpg.Pool

    async def position_of(self, feed: str, person: UUID) -> tuple[int, None]:
        """How much of a feed is in the log, as far as it is about a person; raises `KeyError` for others."""
        if feed not in HEARS[NAME]:
            raise KeyError(feed)
        return await heard_up_to(self.pool, NAME, feed, person), None


Parts: TypeAlias = NamedDependency[Activity]


@get("/activity", guards=[signed_in], waits=True)
async def browse(
    request: Request,
    activity: Parts,
    *,
    action: FromQuery[Action | None] = None,
    todo_id: FromQuery[UUID | None] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Answer[Page[Entry]]:
    """List what you did, newest first."""
    wanted = Wanted(action=action, todo_id=todo_id, since=since, until=until)
    after = from_cursor(cursor, Place) if cursor else TOP
    await wait_for_position(request, partial(activity.position_of, person=request.user.id))
    rows = await list_entries(activity.pool, request.user.id, after, wanted, limit + 1)
    return _page(request, rows, limit, Entry)


@get("/activity/everyone", guards=[signed_in, has_role("operator")], waits=True)
async def browse_all(
    request: Request,
    activity: Parts,
    *,
    user_id: FromQuery[UUID | None] = None,
    action: FromQuery[Action | None] = None,
    todo_id: FromQuery[UUID | None] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Answer[Page[Anyones]]:
    """List what anybody did, newest first; for operators."""
    wanted = Wanted(action=action, todo_id=todo_id, since=since, until=until)
    after = from_cursor(cursor, Place) if cursor else TOP
    await wait_for_position(request, partial(activity.position_of, person=request.user.id))
    rows = await list_all_entries(activity.pool, user_id, after, wanted, limit + 1)
    return _page(request, rows, limit, Anyones)


def _page(request: Request, rows: Sequence[EntryRow], limit: int, shown: type[E]) -> Answer[Page[E]]:
    more = to_cursor(Place(rows[limit - 1].at, rows[limit - 1].id)) if len(rows) > limit else None
    return page(request, LISTED, [convert(row, shown, from_attributes=True) for row in rows[:limit]], more)


ROUTES: Final = (browse, browse_all)
