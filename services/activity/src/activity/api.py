"""A person's own activity over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Meta, Raw, Struct, convert

from activity.domain import ACTIONS, Action, KnownTodo
from activity.tables import TOP, Place, heard_up_to, list_entries
from api.answers import Answer, Page, page
from api.guard import signed_in
from api.messages import Message
from api.pages import Cursor, Limit, from_cursor, to_cursor
from api.position import wait_for_position
from api.requests import Request
from events.catalog.feeds import HEARS

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


Details: TypeAlias = Annotated[Raw, Meta(extra_json_schema=details_schema())]


class Entry(Struct, frozen=True):
    """What happened, and when; `details` depend on the action: a to-do's always have all four keys."""

    id: UUID
    action: Annotated[Action, Meta(examples=["todo_created"])]
    details: Details
    at: datetime


@dataclass(frozen=True, slots=True)
class Activity:
    """What the handlers work with."""

    pool: asyncpg.Pool

    async def position_of(self, feed: str) -> tuple[int, None]:
        """How much of a feed is in the log; raises `KeyError` for one that is not heard here."""
        if feed not in HEARS[NAME]:
            raise KeyError(feed)
        return await heard_up_to(self.pool, NAME, feed), None


Parts: TypeAlias = NamedDependency[Activity]


@get("/activity", guards=[signed_in], waits=True)
async def browse(
    request: Request,
    activity: Parts,
    *,
    action: FromQuery[Action | None] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Answer[Page[Entry]]:
    """List what you did, newest first."""
    after = from_cursor(cursor, Place) if cursor else TOP
    await wait_for_position(request, activity.position_of)
    rows = await list_entries(activity.pool, request.user.id, after, action=action, limit=limit + 1)
    more = to_cursor(Place(rows[limit - 1].at, rows[limit - 1].id)) if len(rows) > limit else None
    return page(request, LISTED, [convert(row, Entry, from_attributes=True) for row in rows[:limit]], more)


ROUTES: Final = (browse,)
