"""What a consumer could not apply, over HTTP for the role `operator`: look, try again, give up. As `todo-ops` does."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from api.answers import Answer, Envelope, answer, private
from api.guard import has_role, signed_in
from api.messages import Message, Text
from api.pages import Limit
from api.problems import INVALID, NOT_FOUND, FieldError, Problem
from api.requests import Request
from api.routes import get, post
from events import acts
from events.acts import By, Chosen
from events.errors import BadAct
from events.parking import Reason
from events.postgres import Connection

OPERATOR: Final = "operator"
_SEQ_MAX: Final = 2**63 - 1
_LISTED: Final = Message(
    key="parked.listed", en="Parked events retrieved successfully", ko="보류된 이벤트를 조회했습니다"
)
_SHOWN: Final = Message(key="parked.shown", en="Parked event retrieved", ko="보류된 이벤트를 조회했습니다")
_ACTED: Final = Message(key="parked.acted", en="Act recorded successfully", ko="작업을 기록했습니다")
_ACTS: Final = Message(key="parked.acts", en="Acts retrieved successfully", ko="작업 기록을 조회했습니다")
_WHY: Final = Text("Say why", "이유를 입력하세요")
_ALL: Final = Text("Say which events, or `all`", "대상 이벤트를 지정하거나 `all`을 지정하세요")
_EVENT: Final = Text("`seq` stands beside its `feed`", "`seq`는 `feed`와 함께 지정하세요")

Data: TypeAlias = Annotated[str, Meta(description="The event's data as it was sent; what is no UTF-8 is escaped")]


class ParkedEvent(Struct, frozen=True, kw_only=True):
    """A parked event: why, how often it was tried, and when it is tried again by itself (null: an operator acts)."""

    feed: Annotated[str, Meta(examples=["TODOS"])]
    seq: int
    key: UUID
    type: Annotated[str, Meta(examples=["todos.TodoToggled.v1"])]
    reason: Reason
    detail: str
    attempts: int
    due_at: datetime | None
    parked_at: datetime


class ParkedWhole(ParkedEvent, frozen=True, kw_only=True):
    """The same with what it says, and where in the code it could not be applied."""

    headers: Mapping[str, str]
    data: Data
    stack: str
    published_at: datetime | None


class ActAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with which: one event (`feed` and `seq`), those of a key, a feed or a reason, or `all`."""

    act: Literal["redrive", "discard"]
    why: Annotated[str, Meta(min_length=1, max_length=1000)]
    feed: str | None = None
    seq: Annotated[int, Meta(ge=1, le=_SEQ_MAX)] | None = None
    key: UUID | None = None
    reason: Reason | None = None
    all: bool = False
    events_max: Annotated[int, Meta(ge=1, le=_SEQ_MAX)] | None = None
    per_second: Annotated[float, Meta(ge=0.01, le=100_000)] | None = None
    dry_run: bool = False


class ActTaken(Struct, frozen=True):
    """How many events are tried first or were given up, each the first of its key; `id` is null after a dry run."""

    id: UUID | None
    events: int


class ActDone(Struct, frozen=True, kw_only=True):
    """What an operator had done, and what came of it; `under_way`: keys that it is still about."""

    id: UUID
    at: datetime
    who: str
    why: str
    what: str
    applied: int
    failed: int
    discarded: int
    under_way: int


def parked_routes(prefix: str, consumer: str, pool: asyncpg.Pool) -> Sequence[HTTPRouteHandler]:
    """`{prefix}/parked`, one of them, and `{prefix}/acts`: what `consumer` has parked in the database of `pool`."""
    guards = [signed_in, has_role(OPERATOR)]

    @get(f"{prefix}/parked", guards=guards)
    async def browse_parked(
        request: Request,
        *,
        feed: FromQuery[str | None] = None,
        key: FromQuery[UUID | None] = None,
        reason: FromQuery[Reason | None] = None,
        limit: Limit = 100,
    ) -> Answer[Envelope[list[ParkedEvent]]]:
        """List what could not be applied, in order; for operators."""
        async with pool.acquire() as connection:
            rows = await acts.parked(connection, consumer, Chosen(feed=feed, key=key, reason=reason), limit=limit)
        return private(answer(request, _LISTED, [msgspec.convert(dict(row), ParkedEvent) for row in rows]))

    @get(f"{prefix}/parked/{{feed:str}}/{{seq:int}}", guards=guards, problems=[NOT_FOUND])
    async def show_parked(request: Request, feed: FromPath[str], seq: FromPath[int]) -> Answer[Envelope[ParkedWhole]]:
        """Get one of these with what it says; for operators."""
        async with pool.acquire() as connection:
            row = await acts.shown(connection, consumer, feed, seq) if seq <= _SEQ_MAX else None
        if row is None:
            raise Problem(NOT_FOUND)
        return private(answer(request, _SHOWN, _whole(row)))

    @post(f"{prefix}/acts", status_code=200, guards=guards, keyed=False)  # a repeat finds what is still parked
    async def act(request: Request, data: JSONBody[ActAsked]) -> Answer[Envelope[ActTaken]]:
        """Have parked events tried again, or give them up; for operators."""
        async with pool.acquire() as connection:
            return private(answer(request, _ACTED, await _acted(connection, consumer, data, request.user.id)))

    @get(f"{prefix}/acts", guards=guards)
    async def browse_acts(request: Request, *, limit: Limit = 100) -> Answer[Envelope[list[ActDone]]]:
        """List what operators had done, the latest first; for operators."""
        async with pool.acquire() as connection:
            rows = await acts.acts(connection, limit)
        return private(answer(request, _ACTS, [msgspec.convert(dict(row), ActDone) for row in rows]))

    return (browse_parked, show_parked, act, browse_acts)


def _whole(row: asyncpg.Record) -> ParkedWhole:
    data: bytes = row["data"]
    told = {**row, "headers": msgspec.json.decode(row["headers"]), "data": data.decode(errors="backslashreplace")}
    return msgspec.convert(told, ParkedWhole)


async def _acted(connection: Connection, consumer: str, wanted: ActAsked, who: UUID) -> ActTaken:
    chosen = _chosen(wanted)
    if wanted.dry_run:
        return ActTaken(None, sum(row["events"] for row in await acts.count(connection, consumer, chosen)))
    by = By(str(who), wanted.why)
    try:
        if wanted.act == "discard":
            done = await acts.discard(connection, consumer, chosen, by)
        else:
            done = await acts.redrive(
                connection, consumer, chosen, by, events_max=wanted.events_max, per_second=wanted.per_second
            )
    except BadAct:
        raise Problem(INVALID, errors=[FieldError("why", "blank", _WHY)]) from None
    return ActTaken(done.id, done.events)


def _chosen(wanted: ActAsked) -> Chosen:
    """Which events; raises `Problem` (422): nobody redrives all by leaving something out."""
    terms = (wanted.feed, wanted.seq, wanted.key, wanted.reason)
    if wanted.all == any(term is not None for term in terms):
        raise Problem(INVALID, errors=[FieldError("all", "which", _ALL)])
    if wanted.seq is not None and wanted.feed is None:
        raise Problem(INVALID, errors=[FieldError("feed", "which", _EVENT)])
    return Chosen(feed=wanted.feed, seq=wanted.seq, key=wanted.key, reason=wanted.reason)
