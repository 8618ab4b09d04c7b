"""A request as the house sees it: who asks, in which language, with what."""

from datetime import datetime
from math import inf
from typing import Any, Final, cast
from uuid import UUID

import litestar
import msgspec
from litestar.connection import ASGIConnection

from api import fields
from api.messages import Locale, locale_of
from api.problems import UNSUPPORTED_MEDIA_TYPE, Problem
from events.command import Context

ANONYMOUS: Final = "anonymous"


class Person(msgspec.Struct, frozen=True):
    """Who is signed in, as the access token says; `locale` is None where they never chose one.

    `expires` is when the token ends, in seconds since the epoch: what outlives a request must end then.
    """

    id: UUID
    sid: UUID
    roles: frozenset[str] = frozenset()
    locale: Locale | None = None
    expires: float = inf


class Trace(msgspec.Struct, frozen=True):
    """What ties an answer, its logs and its events together.

    `traceparent` is the request's own, as in W3C Trace Context; `parent` is its caller's, as it came.
    """

    request_id: str
    correlation_id: str
    traceparent: str
    parent: str = ""


class Request(litestar.Request[Person, Any, Any]):
    """The request that handlers take. `user` is the signed-in `Person` on routes guarded by `signed_in`."""

    @property
    def trace(self) -> Trace:
        """Ids to put into logs and events."""
        return trace_of(self)

    @property
    def locale(self) -> Locale:
        """The language to answer in."""
        return locale_of(self)

    async def json(self) -> Any:
        """The body as the type of the handler's `data`; raises `Problem` (400, 415, 422 naming every bad field)."""
        body = await self.body()
        require_json(self.headers.get("content-type"))
        wanted = self.route_handler.parsed_data_field
        return fields.decode(body, wanted.annotation if wanted else Any)


def trace_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Trace:
    """The ids that the edge gave to a connection."""
    return cast("Trace", connection.scope["state"]["trace"])


def context_of(request: Request, now: datetime) -> Context:
    """Where a command comes from that this request caused; the person where one is signed in."""
    person: Person | None = request.scope.get("user")
    trace = request.trace
    return Context(
        time=now,
        correlation_id=trace.correlation_id,
        causation_id=trace.request_id,
        actor=str(person.id) if person else ANONYMOUS,
        traceparent=trace.traceparent,
    )


def require_json(content_type: str | None) -> None:
    """Refuse what says to be something else than JSON in UTF-8; saying nothing is taken as JSON."""
    if content_type is None or content_type == "application/json":
        return
    media_type, _, parameters = content_type.lower().partition(";")
    json = media_type.strip() == "application/json" or media_type.strip().endswith("+json")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if not json or charset not in {"", "utf-8"}:
        raise Problem(UNSUPPORTED_MEDIA_TYPE)
