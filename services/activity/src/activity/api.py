"""A person's own activity over HTTP."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import asyncpg
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Meta, Raw, Struct, convert

from activity.domain import Action, details_schema
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
