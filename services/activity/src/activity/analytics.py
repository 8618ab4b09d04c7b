"""Figures over HTTP: one's own for everyone, everybody's for analysts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import IO, Annotated, Any, Final, TypeAlias
from uuid import UUID

from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import Receive, Scope, Send
from msgspec import Meta, Struct

from activity.figures import ROWS_MAX, AsOf, Beyond, Figures, NotYet, Question, Reflected, TooMany
from activity.formats import CSV, JSON, LINES, PARQUET
from activity.metrics import METRICS, Metric
from api.answers import Answer, Envelope, answer
from api.guard import signed_in
from api.messages import Message, Text
from api.problems import FORBIDDEN, INVALID, NOT_FOUND, UNAVAILABLE, FieldError, Kind, Problem
from api.requests import Request
from api.routes import get
from events.clock import Clock

ANALYST: Final = "analyst"
HEADERS: Final = ("X-Metric-Version", "X-Archive-Position", "X-Reflects")
MEDIA: Final = (JSON, CSV, LINES, PARQUET)
CHUNK: Final = 1 << 16

LISTED: Final = Message(key="analytics.listed", en="Metrics retrieved successfully", ko="지표를 조회했습니다")
TOLD: Final = Message(key="analytics.told", en="Figures retrieved successfully", ko="수치를 조회했습니다")
NOT_ACCEPTABLE: Final = Kind(
    status=406,
    code="not_acceptable",
    title=Text("No such format", "지원하지 않는 형식"),
    detail=Text("Ask for one of these by `Accept`: {media}.", "`Accept`로 다음 중 하나를 요청하세요: {media}."),
)
_BAD_AS_OF: Final = Text(
    "must be a position as 1234, or a moment with its offset as 2026-11-28T09:00:00Z",
    "1234와 같은 위치이거나 2026-11-28T09:00:00Z처럼 시간대가 있는 시각이어야 합니다",
)
_BEYOND: Final = Text("lies in the future", "미래입니다")
_TOO_MANY: Final = Text(
    "there are more rows than {limit}: narrow by user_id, since, until, or ask for more, up to {most}",
    "행이 {limit}개를 넘습니다. user_id, since, until로 줄이거나 {most}까지 늘리세요",
)
_NO_DAY: Final = Text("this metric has no day", "이 지표에는 날짜가 없습니다")


class Field(Struct, frozen=True):
    """A column of a metric's rows: its name, its type as PostgreSQL calls it, what it means."""

    name: str
    type: Annotated[str, Meta(examples=["date"])]
    meaning: str | None


class About(Struct, frozen=True, kw_only=True):
    """A metric: what it tells, one row for each value of `grain`. `personal`: everybody may ask it about themselves."""

    name: Annotated[str, Meta(examples=["daily"])]
    title: str
    metric_version: int | None
    grain: tuple[str, ...]
    personal: bool
    columns: list[Field]


class Told(Reflected, frozen=True, kw_only=True):
    """Figures, and what they reflect: the same question as of the same position or moment has the same answer."""

    message_key: str
    message: str
    data: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Analytics:
    """What the handlers work with."""

    figures: Figures
    now: Clock


Parts: TypeAlias = NamedDependency[Analytics]


class Download(Answer[Told]):
    """An answer in a file, sent piece by piece."""

    __slots__ = ("_file",)

    def __init__(self, file: IO[bytes], media: str, headers: Mapping[str, str]) -> None:
        super().__init__(b"", media=media, headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it, and close the file."""
        with self._file as file:
            size = file.seek(0, 2)
            file.seek(0)
            headers = {**self.headers, "content-type": self.media, "content-length": str(size)}
            pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": pairs})
            while piece := file.read(CHUNK):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


@get("/analytics", guards=[signed_in])
async def browse(request: Request, analytics: Parts) -> Answer[Envelope[list[About]]]:
    """List the metrics that you may ask for."""
    versions = await analytics.figures.versions()
    columns: dict[str, list[Field]] = {}
    for row in await analytics.figures.columns():
        columns.setdefault(row["view"], []).append(Field(row["name"], row["type"], row["meaning"]))
    told = [
        About(
            name=metric.name,
            title=metric.title.to(request.locale),
            metric_version=versions.get(metric.projection),
            grain=metric.grain,
            personal=metric.personal,
            columns=columns.get(metric.name, []),
        )
        for metric in METRICS.values()
        if metric.personal or ANALYST in request.user.roles
    ]
    return answer(request, LISTED, told)


@get(
    "/analytics/{metric:str}",
    guards=[signed_in],
    media=MEDIA[1:],
    headers=HEADERS,
    problems=[FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE],
)
async def tell(
    request: Request,
    analytics: Parts,
    metric: FromPath[str],
    *,
    user_id: FromQuery[UUID | None] = None,
    since: Annotated[date | None, QueryParameter(description="The first day")] = None,
    until: Annotated[date | None, QueryParameter(description="The last day")] = None,
    as_of: Annotated[
        str | None, QueryParameter(max_length=40, description="As it was told at a position, or at a moment")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=ROWS_MAX, description="How many rows at most")] = 10_000,
) -> Answer[Told]:
    """Get figures: yours; for analysts everybody's. In the format that `Accept` names."""
    asked = METRICS.get(metric)
    if asked is None:
        raise Problem(NOT_FOUND)
    if asked.day is None and (since or until):
        raise Problem(INVALID, errors=[FieldError("since" if since else "until", "no_day", _NO_DAY)])
    question = Question(
        metric=asked,
        person=_person(request, asked, user_id),
        since=since,
        until=until,
        as_of=as_of_of(as_of),
        limit=limit,
    )
    return await _answer(request, analytics, question, media_of(request.headers.get("accept", "")))


async def _answer(request: Request, analytics: Analytics, question: Question, media: str) -> Answer[Told]:
    head = {"message_key": TOLD.key, "message": TOLD.to(request.locale)}
    try:
        position = await analytics.figures.position_of(question.as_of, analytics.now())
        told, file = await analytics.figures.write(question, position, media, head)
    except Beyond:
        raise Problem(INVALID, errors=[FieldError("as_of", "in_the_future", _BEYOND)]) from None
    except NotYet:
        raise Problem(UNAVAILABLE, retry_after=2) from None
    except TooMany:
        values = {"limit": question.limit, "most": ROWS_MAX}
        raise Problem(INVALID, errors=[FieldError("limit", "too_many_rows", _TOO_MANY, values)]) from None
    headers = {
        "cache-control": "no-store",
        "vary": "accept, authorization, accept-language",
        "x-metric-version": str(told.metric_version),
        "x-archive-position": str(told.position),
        "x-reflects": told.reflects.astimezone(UTC).isoformat() if told.reflects else "",
    }
    return Download(file, media, headers)


def _person(request: Request, metric: Metric, asked: UUID | None) -> UUID | None:
    """About whom figures are told; raises `Problem` (403) for what is not for everyone."""
    if ANALYST in request.user.roles:
        if asked and not metric.personal:
            raise Problem(FORBIDDEN)
        return asked
    if not metric.personal or asked not in {None, request.user.id}:
        raise Problem(FORBIDDEN)
    return request.user.id


def as_of_of(text: str | None) -> AsOf:
    """What `as_of` means; raises `Problem` (422)."""
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    try:
        # A `+` that was not escaped arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Problem(INVALID, errors=[FieldError("as_of", "no_moment", _BAD_AS_OF)])
    return moment


def media_of(accept: str) -> str:
    """The first format that `Accept` names, JSON where any will do; raises `Problem` (406). Weights are not weighed."""
    names = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for name in names:
        if name in MEDIA:
            return name
        if name in {"", "*/*", "application/*"}:
            return JSON
        if name == "text/*":
            return CSV
    raise Problem(NOT_ACCEPTABLE, media=", ".join(MEDIA))


ROUTES: Final = (browse, tell)
