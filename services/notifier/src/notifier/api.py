"""A person's inbox over HTTP."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from api.answers import Answer, Envelope, Page, answer, next_link
from api.guard import signed_in
from api.messages import Locale, Message
from api.pages import Cursor, Limit, from_cursor, to_cursor
from api.position import wait_for_position
from api.problems import NOT_FOUND, Problem
from api.requests import Request
from events.catalog.feeds import HEARS
from events.clock import Clock
from notifier.domain import Kind
from notifier.tables import TOP, Notified, heard_up_to, list_notifications, read_all, read_one, standing
from notifier.texts import words_of

NAME: Final = "notifier"

LISTED: Final = Message(key="notification.listed", en="Notifications retrieved successfully", ko="알림을 조회했습니다")
READ: Final = Message(key="notification.read", en="Notification marked as read", ko="알림을 읽음으로 표시했습니다")
ALL_READ: Final = Message(
    key="notification.all_read", en="Notifications marked as read", ko="알림을 모두 읽음으로 표시했습니다"
)

Data: TypeAlias = Annotated[
    msgspec.Raw,
    Meta(
        description="The facts, by kind: a to-do's `todo_id`, `title`, `priority`, `due_at`, `due_zone`; or a report's "
        "`from`, `to`, `timezone`, `figures`, `previous`",
        extra_json_schema={"type": "object"},
        examples=[{"todo_id": "01a20814-539f-7708-909d-2061a066dbb9", "title": "Buy milk", "priority": 3}],
    ),
]
UpTo = Annotated[int, QueryParameter(ge=0, le=TOP, description="The last number that the person has seen")]
Unread = Annotated[bool, QueryParameter(description="Only what is unread")]


class Notification(Struct, frozen=True, kw_only=True):
    """What a person is told. `number` counts their notifications without gaps, from 1, in the order they came."""

    id: UUID
    number: Annotated[int, Meta(ge=1)]
    kind: Annotated[Kind, Meta(examples=["completion"])]
    title: Annotated[str, Meta(examples=["Completed"])]
    body: Annotated[str, Meta(examples=["“Buy milk” is done. Well done!"])]
    data: Data
    at: datetime
    read_at: datetime | None


class Inbox(Page[Notification], frozen=True, kw_only=True):
    """A page of the inbox. `unread` counts all that is unread; `last_number` is where a live connection resumes."""

    unread: Annotated[int, Meta(ge=0)]
    last_number: Annotated[int, Meta(ge=0)]


class Marked(Struct, frozen=True):
    """How many were marked now, and how many are unread still."""

    marked: Annotated[int, Meta(ge=0)]
    unread: Annotated[int, Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class Notifications:
    """What the handlers work with."""

    pool: asyncpg.Pool
    now: Clock

    async def position_of(self, feed: str) -> tuple[int, None]:
        """How much of a feed is in the inboxes; raises `KeyError` for one that is not heard here."""
        if feed not in HEARS[NAME]:
            raise KeyError(feed)
        return await heard_up_to(self.pool, NAME, feed), None


Parts: TypeAlias = NamedDependency[Notifications]


def told(row: Notified, locale: Locale) -> Notification:
    """A notification in its reader's language."""
    words = words_of(row.kind, msgspec.json.decode(row.data), locale)
    return Notification(
        id=row.id,
        number=row.number,
        kind=row.kind,
        title=words.title,
        body=words.body,
        data=msgspec.Raw(row.data.encode()),
        at=row.at,
        read_at=row.read_at,
    )


@get("/notifications", guards=[signed_in], waits=True)
async def browse(
    request: Request, notifications: Parts, *, unread: Unread = False, limit: Limit = 20, cursor: Cursor = None
) -> Answer[Inbox]:
    """List your notifications, newest first."""
    before = from_cursor(cursor, int) if cursor else TOP
    await wait_for_position(request, notifications.position_of)
    pool, person = notifications.pool, request.user.id
    rows = await list_notifications(pool, person, before, unread=unread, limit=limit + 1)
    stands = await standing(pool, person)
    more = to_cursor(rows[limit - 1].number) if len(rows) > limit else None
    inbox = Inbox(
        message_key=LISTED.key,
        message=LISTED.to(request.locale),
        data=[told(row, request.locale) for row in rows[:limit]],
        next_cursor=more,
        unread=stands.unread,
        last_number=stands.last_number,
    )
    return Answer(msgspec.json.encode(inbox), headers=next_link(request, more))


@post("/notifications/{notification_id:uuid}/read", guards=[signed_in], status_code=200, keyed=False)
async def read(
    request: Request, notifications: Parts, notification_id: FromPath[UUID]
) -> Answer[Envelope[Notification]]:
    """Mark a notification as read. Done again, the first time stands."""
    row = await read_one(notifications.pool, request.user.id, notification_id, notifications.now())
    if row is None:
        raise Problem(NOT_FOUND)
    return answer(request, READ, told(row, request.locale))


@post("/notifications/read-all", guards=[signed_in], status_code=200, keyed=False)
async def read_everything(request: Request, notifications: Parts, *, up_to: UpTo = TOP) -> Answer[Envelope[Marked]]:
    """Mark all notifications as read, or those up to a number: what came after it stays unread."""
    marked = await read_all(notifications.pool, request.user.id, up_to, notifications.now())
    stands = await standing(notifications.pool, request.user.id)
    return answer(request, ALL_READ, Marked(marked, stands.unread))


ROUTES: Final = (browse, read, read_everything)
