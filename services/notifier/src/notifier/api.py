"""A person's inbox over HTTP."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from api.answers import Answer, Envelope, Page, answer, next_link, private
from api.guard import signed_in
from api.messages import Message
from api.pages import Cursor, Limit, from_cursor, to_cursor
from api.position import wait_for_position
from api.problems import NOT_FOUND, Problem
from api.requests import Request
from api.routes import get, post
from api.transactions import writing
from events.catalog.feeds import HEARS
from events.clock import Clock
from events.consumer import heard_up_to
from notifier.live import Tell
from notifier.shapes import Notification, told
from notifier.tables import TOP, list_notifications, read_all, read_one, standing
from notifier.tickets import LIFE, Tickets

NAME: Final = "notifier"

LISTED: Final = Message(key="notification.listed", en="Notifications retrieved successfully", ko="알림을 조회했습니다")
READ: Final = Message(key="notification.read", en="Notification marked as read", ko="알림을 읽음으로 표시했습니다")
ALL_READ: Final = Message(
    key="notification.all_read", en="Notifications marked as read", ko="알림을 모두 읽음으로 표시했습니다"
)
SOLD: Final = Message(key="notification.ticket", en="Ticket issued successfully", ko="티켓을 발급했습니다")

UpTo = Annotated[int, QueryParameter(ge=0, le=TOP, description="The last number that the person has seen")]
Unread = Annotated[bool, QueryParameter(description="Only what is unread")]


class Inbox(Page[Notification], frozen=True, kw_only=True):
    """A page of the inbox. `unread` counts all that is unread; `last_number` is where a live connection resumes."""

    unread: Annotated[int, Meta(ge=0)]
    last_number: Annotated[int, Meta(ge=0)]


class Marked(Struct, frozen=True):
    """How many were marked now, and how many are unread still."""

    marked: Annotated[int, Meta(ge=0)]
    unread: Annotated[int, Meta(ge=0)]


class Ticket(Struct, frozen=True):
    """Opens `/notifications/ws` or `/notifications/stream` (`?ticket=...&last=N`), once, for `expires_in` seconds."""

    ticket: Annotated[str, Meta(examples=["pB1pYbN2Sx3sBv0lq6Xo9cU1eW7rT4yZ8aKdF5gHjLM"])]
    expires_in: Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class Notifications:
    """What the handlers work with."""

    pool: asyncpg.Pool
    now: Clock
    tell: Tell

    async def position_of(self, feed: str, person: UUID) -> tuple[int, None]:
        """How much of a feed is in the inboxes, for a person; raises `KeyError` for one that is not heard here."""
        if feed not in HEARS[NAME]:
            raise KeyError(feed)
        return await heard_up_to(self.pool, NAME, feed, person), None


Parts: TypeAlias = NamedDependency[Notifications]


@get("/notifications", guards=[signed_in], waits=True)
async def browse(
    request: Request, notifications: Parts, *, unread: Unread = False, limit: Limit = 20, cursor: Cursor = None
) -> Answer[Inbox]:
    """List your notifications, newest first."""
    before = from_cursor(cursor, int) if cursor else TOP
    await wait_for_position(request, partial(notifications.position_of, person=request.user.id))
    pool, person = notifications.pool, request.user.id
    # First where it stands: what comes in between is in the list, and comes live once more. Never is it in neither.
    stands = await standing(pool, person)
    rows = await list_notifications(pool, person, before, unread=unread, limit=limit + 1)
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
    notifications.tell({request.user.id})
    return answer(request, READ, told(row, request.locale))


@post("/notifications/read-all", guards=[signed_in], status_code=200, keyed=False)
async def read_everything(request: Request, notifications: Parts, *, up_to: UpTo = TOP) -> Answer[Envelope[Marked]]:
    """Mark all notifications as read, or those up to a number: what came after it stays unread."""
    marked = await read_all(notifications.pool, request.user.id, up_to, notifications.now())
    notifications.tell({request.user.id})
    stands = await standing(notifications.pool, request.user.id)
    return answer(request, ALL_READ, Marked(marked, stands.unread))


@post("/notifications/ticket", guards=[signed_in], status_code=200, keyed=False)
async def sell(request: Request, tickets: NamedDependency[Tickets]) -> Answer[Envelope[Ticket]]:
    """Get a ticket that opens one live connection. It lasts 30 seconds, and no longer than your token."""
    async with writing(request, tickets.pool) as connection:
        ticket = await tickets.sell(connection, request.user)
    return private(answer(request, SOLD, Ticket(ticket, int(LIFE.total_seconds()))))


ROUTES: Final = (browse, read, read_everything, sell)
