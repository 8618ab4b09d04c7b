"""Success answers: the envelope, its headers, encoded once."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Generic, Self, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from litestar import Response
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send

from api.conditions import etag
from api.messages import Message
from api.requests import Request

T = TypeVar("T")
JSON: Final = "application/json"
COUNTED: Final = 10_000
"""As far as a list counts: beyond it a count costs more than the page that it stands on."""

_encoder = msgspec.json.Encoder()


class Envelope(msgspec.Struct, Generic[T], frozen=True):
    """What every success answer looks like."""

    message_key: str
    message: str
    data: T


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A list's answer: the next page's cursor stands beside the data, null at the end.

    `total` and `total_capped` are on request: how many there are on all pages, counted up to `COUNTED`.
    """

    message_key: str
    message: str
    data: list[T]
    next_cursor: Annotated[str, msgspec.Meta(examples=["WyIyMDI2LTExLTI0Il0"])] | None
    total: int | msgspec.UnsetType = msgspec.UNSET
    total_capped: bool | msgspec.UnsetType = msgspec.UNSET


class Answer(Response[T]):
    """An answer already encoded: what is sent is what an `Idempotency-Key` stores. It is its own ASGI application."""

    __slots__ = ("body", "media", "status")

    def __init__(
        self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None, media: str = JSON
    ) -> None:
        # Litestar's constructor prepares for encoding later; there is nothing left to encode.
        self.body = body
        self.status = self.status_code = status
        self.headers = dict(headers or {})
        self.media = media

    def at(self, feed: str, seq: int) -> Self:
        """The same answer, naming the last event that it caused (`X-Event-Position: TODOS:1234`)."""
        self.headers["x-event-position"] = f"{feed}:{seq}"
        return self

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """Litestar's hook."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.status != 204:
            headers.append((b"content-type", self.media.encode()))
            headers.append((b"content-length", b"%d" % len(self.body)))
        start: HTTPResponseStartEvent = {"type": "http.response.start", "status": self.status, "headers": headers}
        body: HTTPResponseBodyEvent = {"type": "http.response.body", "body": self.body, "more_body": False}
        await send(start)
        await send(body)


def private(answer: Answer[T]) -> Answer[T]:
    """The same answer, kept by no cache."""
    answer.headers["cache-control"] = "no-store"
    return answer


def answer(
    request: Request,
    message: Message,
    data: T,
    *,
    status: int = 200,
    version: int | None = None,
    location: str | None = None,
) -> Answer[Envelope[T]]:
    """A success answer; `version` becomes the `ETag`, `location` the `Location`."""
    headers = {}
    if version is not None:
        headers["etag"] = etag(version)
    if location is not None:
        headers["location"] = location
    body = _encoder.encode(Envelope(message.key, message.to(request.locale), data))
    return Answer(body, status=status, headers=headers)


def page(
    request: Request, message: Message, data: list[T], next_cursor: str | None, *, total: int | None = None
) -> Answer[Page[T]]:
    """One page of a list; the `Link` header repeats the next page's address with the filters of this one.

    A `total` greater than `COUNTED` is answered as `COUNTED` with `total_capped`: "at least so many".
    """
    listed = Page(message.key, message.to(request.locale), data, next_cursor)
    if total is not None:
        listed = msgspec.structs.replace(listed, total=min(total, COUNTED), total_capped=total > COUNTED)
    return Answer(_encoder.encode(listed), headers=next_link(request, next_cursor))


def next_link(request: Request, next_cursor: str | None) -> dict[str, str]:
    """The `Link` header of a page that is not the last, empty for the last."""
    if next_cursor is None:
        return {}
    kept = [(name, value) for name, value in parse_qsl(request.url.query) if name != "cursor"]
    query = urlencode([*kept, ("cursor", next_cursor)])
    return {"link": f'<{quote(request.scope["path"])}?{query}>; rel="next"'}
