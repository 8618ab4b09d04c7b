"""One request's whole journey: what came of it, who heard that and when, which letters and deliveries it led to."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import asyncpg
import msgspec
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from activity.api import Activity
from activity.tables import SQL
from api.answers import Answer, Envelope, answer
from api.guard import signed_in
from api.messages import Message
from api.position import wait_for_position
from api.problems import NOT_FOUND, Problem
from api.requests import Request
from api.routes import get

OPERATOR: Final = "operator"
EVENTS_MAX: Final = 500

EXPLAINED: Final = Message(key="activity.explained", en="Journey retrieved successfully", ko="처리 과정을 조회했습니다")


class Heard(Struct, frozen=True):
    """A consumer took an event up, so many milliseconds after it was appended."""

    by: Annotated[str, Meta(examples=["mailer"])]
    at: datetime
    after_ms: int


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What a letter, push or SMS came to; `reason` where it failed, `waited_ms` where it was sent."""

    channel: Annotated[str, Meta(examples=["mail", "push"])]
    kind: str | None = None
    reason: str | None = None
    waited_ms: int | None = None


class Hop(Struct, frozen=True, kw_only=True):
    """An event on the way. `cause`: the event or request that led to it; `published_at`: when the stream took it.

    `heard`: by activity, and by the others as far as they have told; they do so within seconds.
    """

    id: UUID
    feed: Annotated[str, Meta(examples=["TODOS"])]
    seq: int
    type: Annotated[str, Meta(examples=["todos.TodoToggled.v1"])]
    request_id: str
    cause: str
    actor: str
    appended_at: datetime
    published_at: datetime | None
    published_after_ms: int | None
    heard: list[Heard]
    outcome: Outcome | None


class Journey(Struct, frozen=True):
    """The events that came of a request, in the order in which activity heard them. `more`: there are others."""

    events: list[Hop]
    more: bool


@get("/activity/explain/{request_or_event:str}", guards=[signed_in], waits=True, problems=[NOT_FOUND])
async def explain(
    request: Request, activity: NamedDependency[Activity], request_or_event: FromPath[str]
) -> Answer[Envelope[Journey]]:
    """Get what came of a request (its `X-Request-Id`) or of an event's request: yours, for operators anybody's."""
    await wait_for_position(request, partial(activity.position_of, person=request.user.id))
    person = None if OPERATOR in request.user.roles else request.user.id
    rows = await activity.pool.fetch(SQL.explain, request_or_event, _uuid(request_or_event), person, EVENTS_MAX + 1)
    if not rows:
        raise Problem(NOT_FOUND)
    return answer(request, EXPLAINED, journey(rows))


def journey(rows: Sequence[asyncpg.Record]) -> Journey:
    """The journey that rows of the archive tell of."""
    return Journey([_hop(row) for row in rows[:EVENTS_MAX]], more=len(rows) > EVENTS_MAX)


def _hop(row: asyncpg.Record) -> Hop:
    appended, published = row["appended_at"], row["published_at"]
    heard = [Heard("activity", row["heard_at"], _ms(appended, row["heard_at"]))]
    for other in msgspec.json.decode(row["others"]):
        after = other["after_ms"]
        heard.append(Heard(other["reached"], appended + timedelta(milliseconds=after), after))
    same = {name: row[name] for name in ("id", "feed", "seq", "type", "request_id", "cause", "actor")}
    return Hop(
        **same,
        appended_at=appended,
        published_at=published,
        published_after_ms=_ms(appended, published) if published else None,
        heard=heard,
        outcome=_outcome(row["data"]) if row["data"] else None,
    )


def _outcome(data: str) -> Outcome | None:
    told: dict[str, Any] = msgspec.json.decode(data)
    # MAILER's do not name their channel: it has but one.
    return msgspec.convert({"channel": "mail"} | told, Outcome) if told.keys() & {"reason", "waited_ms"} else None


def _ms(since: datetime, until: datetime) -> int:
    return max(0, (until - since) // timedelta(milliseconds=1))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


ROUTES: Final = (explain,)
