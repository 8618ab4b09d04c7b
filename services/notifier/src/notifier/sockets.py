"""Live connections over HTTP: a WebSocket, and server-sent events."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketException
from litestar.types import Receive, Scope, Send
from prometheus_client import Counter, Gauge

from api.answers import Answer
from api.guard import Guard
from api.messages import Locale, Text, locale_of, preferred
from api.problems import MALFORMED as MALFORMED_REQUEST
from api.problems import UNAUTHENTICATED, Problem
from api.requests import Person, Request
from api.routes import get
from events.postgres import AWAY
from notifier.live import (
    GONE,
    MALFORMED,
    TICKET_INVALID,
    TOKEN_REFUSED,
    TOO_SLOW,
    UNAVAILABLE,
    Goodbye,
    Line,
    Live,
    Reason,
)
from notifier.shapes import Authenticate, Close, Frame, Gap, News
from notifier.tickets import Tickets

PATIENCE: Final = 10.0
"""Seconds that a client may take for one message before it counts as slow."""
FAREWELL: Final = 60.0
"""Seconds that a slow client has to take what is under way and the close frame."""
LAST_DIGITS: Final = 15

CONNECTIONS: Final = Gauge("todo_live_connections", "Open live connections", ["transport"])
CLOSED: Final = Counter("todo_live_closed_total", "Live connections that ended, by reason", ["transport", "reason"])

_BAD_LAST: Final = Text("`last` must be a number that you saw, or 0", "`last`는 받은 마지막 번호 또는 0이어야 합니다")
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Authenticate).decode
Sending = Callable[[Frame], Awaitable[None]]


def may_open(origin: str | None, host: str | None, origins: frozenset[str]) -> bool:
    """Whether a page of this origin may open a socket: a browser asks nobody else (RFC 6455, section 10.2).

    What names no origin is no browser; a page of the gateway's own is at home.
    """
    if origin is None or origin in origins:
        return True
    with suppress(ValueError):  # no address at all
        return bool(host) and urlsplit(origin).netloc == host
    return False


def last_of(text: str | None) -> int | None:
    """The number that a client saw last, 0 where it names none; None for what is no such number."""
    if not text:
        return 0
    fits = text.isascii() and text.isdigit() and len(text) <= LAST_DIGITS
    return int(text) if fits else None


@websocket("/notifications/ws")
async def follow_by_socket(
    socket: WebSocket[Any, Any, Any], live: NamedDependency[Live], tickets: NamedDependency[Tickets]
) -> None:
    """Follow the inbox over a WebSocket."""
    if not may_open(socket.headers.get("origin"), socket.headers.get("host"), tickets.origins):
        raise WebSocketException(detail="origin", code=TOKEN_REFUSED.code)  # before it is accepted: 403
    await socket.accept()
    last = last_of(socket.query_params.get("last"))
    try:
        person = await tickets.use(socket.query_params.get("ticket", ""))
    except AWAY:
        await _part(socket, UNAVAILABLE)
        return
    if person is None or last is None:
        await _part(socket, TICKET_INVALID if person is None else MALFORMED)
        return
    with live.line(person, _locale_of(socket, person), last) as line:
        listening = asyncio.create_task(_listen(socket, line))
        try:
            reason = await converse("ws", line, lambda frame: socket.send_data(_encode(frame), mode="text"))
        finally:
            listening.cancel()
            await asyncio.wait([listening])
    await _part(socket, reason)


async def converse(transport: str, line: Line, send: Sending) -> Reason:
    """Send what a line has until it ends; why it ended."""
    CONNECTIONS.labels(transport).inc()
    try:
        await _sent(send, await line.hello())
        while True:
            for frame in await line.next():
                await _sent(send, frame)
    except Goodbye as goodbye:
        reason = goodbye.reason
    except OSError:  # the client is gone
        reason = GONE
    finally:
        CONNECTIONS.labels(transport).dec()
    CLOSED.labels(transport, reason.word).inc()
    return reason


async def _sent(send: Sending, frame: Frame) -> None:
    """Sent whole, or not at all: what comes after it stays in the inbox."""
    try:
        async with asyncio.timeout(PATIENCE):
            await send(frame)
    except TimeoutError:
        raise Goodbye(TOO_SLOW) from None


async def _listen(socket: WebSocket[Any, Any, Any], line: Line) -> None:
    """Hear what the client says; a socket that ends for any reason ends the line."""
    guard: Guard = socket.app.state.guard
    try:
        while (event := await socket.receive())["type"] == "websocket.receive":
            said = _decode(event.get("text") or b"")
            line.renew(await guard.person(f"Bearer {said.access_token}"))
    except msgspec.DecodeError:
        line.end(MALFORMED)
    except Problem as problem:
        line.end(TOKEN_REFUSED if problem.kind is UNAUTHENTICATED else UNAVAILABLE)
    finally:
        line.end(GONE)


async def _part(socket: WebSocket[Any, Any, Any], reason: Reason) -> None:
    if reason is not GONE:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(FAREWELL):
                await socket.close(reason.code, reason.word)


def _locale_of(socket: WebSocket[Any, Any, Any], person: Person) -> Locale:
    return preferred(socket.headers.get("accept-language", "")[:256]) or person.locale or "en"


class Stream(Answer[str]):
    """Server-sent events of one line, for as long as the client stays."""

    __slots__ = ("_live", "_locale", "_person", "_seen")

    def __init__(self, live: Live, person: Person, locale: Locale, seen: int) -> None:
        super().__init__(b"", media="text/event-stream")
        self._live = live
        self._person = person
        self._locale = locale
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Stream until the line ends."""
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def sending(frame: Frame) -> None:
            await send({"type": "http.response.body", "body": event_of(frame), "more_body": True})

        with self._live.line(self._person, self._locale, self._seen) as line:
            watching = asyncio.create_task(_watch(receive, line))
            try:
                reason = await converse("sse", line, sending)
            finally:
                watching.cancel()
                await asyncio.wait([watching])
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await sending(Close(reason.code, reason.word))
                await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _watch(receive: Receive, line: Line) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    line.end(GONE)


def event_of(frame: Frame) -> bytes:
    """A frame as an event; its id is what a client names when it comes back (HTML, section 9.2)."""
    kind = frame.__struct_config__.tag
    match frame:
        case News(notification):
            place = f"id: {notification.number}\n"
        case Gap(resume=resume):
            place = f"id: {resume}\n"
        case _:
            place = ""
    return f"{place}event: {kind}\ndata: ".encode() + _encode(frame) + b"\n\n"


@get("/notifications/stream", include_in_schema=False)
async def follow_by_events(request: Request, live: NamedDependency[Live], tickets: NamedDependency[Tickets]) -> Stream:
    """Follow the inbox by server-sent events; a ticket serves where no header can be set."""
    query = request.query_params
    if ticket := query.get("ticket"):
        person = await tickets.use(ticket)
        if person is None:
            raise Problem(UNAUTHENTICATED, headers={"www-authenticate": "Bearer"})
    else:
        guard: Guard = request.app.state.guard
        person = await guard.person(request.headers.get("authorization"))
    last = last_of(request.headers.get("last-event-id") or query.get("last"))
    if last is None:
        raise Problem(MALFORMED_REQUEST, what=_BAD_LAST)
    return Stream(live, person, locale_of(request), last)


ROUTES: Final = (follow_by_socket, follow_by_events)
