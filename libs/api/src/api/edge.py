"""The outermost layer: names each request, watches it, and lets no failure out without an answer. Pure ASGI, thin."""

import asyncio
import re
from functools import cache
from time import perf_counter, time_ns
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Histogram

from api.failures import to_answer
from api.fields import NUL, nul_error
from api.problems import INVALID, OUTCOME_UNKNOWN, Problem
from api.requests import Request, Trace
from events.ids import uuid7
from events.tracing import Attributes, enter, is_recorded, record, trace_id_of

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_WATCHERS: Final = ("/healthz/", "/metrics")
"""What is asked every few seconds by whoever watches the process is no part of anybody's trace."""

SECONDS: Final = Histogram(
    "todo_http_request_seconds",
    "Time from a request's head to the end of its answer",
    ("method", "route", "status"),
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class Edge:
    """Wraps the application of a service."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "websocket":  # type: ignore[comparison-overlap]
            await self._app(scope, receive, send)
            return
        trace = _name(scope)
        began, started, status = time_ns(), perf_counter(), 0
        request_id = trace.request_id.encode()

        async def named_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._answer(scope, receive, named_send)
        except asyncio.CancelledError:
            # The process leaves and its patience is over; what the request began may still be done.
            if not status:
                unknown = Problem(OUTCOME_UNKNOWN, retry_after=1)
                await to_answer(Request(scope), unknown)(scope, receive, named_send)
            raise
        except Exception as failure:
            if status:
                raise
            await to_answer(Request(scope), failure)(scope, receive, named_send)
        finally:
            _observe(scope, status, perf_counter() - started)
            _tell(scope, trace, status, began)

    async def _answer(self, scope: Any, receive: Receive, send: Send) -> None:
        if NUL in scope["path"]:
            raise Problem(INVALID, errors=[nul_error("path")])
        if query := scope["query_string"]:
            scope["query_string"] = _cleaned(query)
        if scope["method"] == "HEAD":
            # HEAD is GET without the body, which the server leaves out (RFC 9110, section 9.3.2).
            scope, send = {**scope, "method": "GET"}, _head_alone(send)
        await self._app(scope, receive, send)


def _head_alone(send: Send) -> Send:
    """Ends an answer after its head: whoever makes a long one is told that nobody waits for more."""
    over = False

    async def ending(message: Message) -> None:
        nonlocal over
        if over:
            return
        if message["type"] == "http.response.body":
            over, message = True, {**message, "more_body": False}
        await send(message)

    return ending


def _name(scope: Any) -> Trace:
    """Give the request its ids, here and in every log line that it causes."""
    headers = dict(scope["headers"])
    request_id = _sane(headers.get(b"x-request-id")) or str(uuid7())
    correlation_id = _sane(headers.get(b"x-correlation-id")) or request_id
    incoming = headers.get(b"traceparent", b"").decode("latin-1")
    trace = Trace(request_id, correlation_id, enter(incoming), incoming)
    scope.setdefault("state", {})["trace"] = trace
    structlog.contextvars.bind_contextvars(
        request_id=request_id, correlation_id=correlation_id, trace_id=trace_id_of(trace.traceparent)
    )
    return trace


def _sane(value: bytes | None) -> str | None:
    return value.decode() if value and _SANE_ID.fullmatch(value) else None


def _cleaned(query: bytes) -> bytes:
    """The query without its empty parameters, which count as absent; raises `Problem` for U+0000."""
    if b"%00" in query or b"\0" in query:
        names = [part.partition(b"=")[0] for part in query.split(b"&") if b"%00" in part or b"\0" in part]
        raise Problem(INVALID, errors=[nul_error(_readable(name) or "query") for name in names])
    if b"=&" in query or query.endswith(b"="):
        # The first "=" ends the name: a value may itself end in one, as padded base64 does.
        return b"&".join(part for part in query.split(b"&") if part.find(b"=") != len(part) - 1)
    return query


def _readable(name: bytes) -> str:
    return unquote_to_bytes(name).decode("utf-8", "replace").replace(NUL, "")


def _observe(scope: Any, status: int, seconds: float) -> None:
    _timer(*_route(scope), status).observe(seconds)


@cache
def _timer(method: str, route: str, status: int) -> Histogram:
    """Looked up once: a label costs as much as what it counts."""
    return SECONDS.labels(method, route, str(status))


def _tell(scope: Any, trace: Trace, status: int, began: int) -> None:
    """The request as a span: its route alone, for a path can hold a token and a query anything."""
    if not is_recorded(trace.traceparent) or scope["path"].startswith(_WATCHERS):
        return
    method, route = _route(scope)
    about: Attributes = {"http.request.method": method, "http.route": route, "url.scheme": scope["scheme"]}
    if status:
        about["http.response.status_code"] = status
    error = str(status) if status >= 500 else "" if status else "cancelled"
    name, at = f"{method} {route}", trace.traceparent
    record(name, "server", at, within=trace.parent, started=began, error=error, attributes=about)


def _route(scope: Any) -> tuple[str, str]:
    """Method and route as they are counted: no client makes new ones."""
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    return method, scope.get("path_template") or "unmatched"
