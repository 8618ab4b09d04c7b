"""Puts a service's routes into an application with everything that the house's HTTP faces share."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from litestar import HttpMethod, Litestar, get, route
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.types import ControllerRouterHandler

from api.answers import Answer
from api.edge import Edge
from api.failures import to_answer
from api.guard import Guard
from api.health import health_routes
from api.openapi import describe
from api.requests import Request
from events.health import Health

BODY_LIMIT: Final = 64 * 1024

_EXPOSED: Final = [
    "ETag",
    "Location",
    "Link",
    "Retry-After",
    "Idempotency-Replayed",
    "X-Request-Id",
    "X-Event-Position",
    "X-Metric-Version",
    "X-Archive-Position",
    "X-Reflects",
]
_ACCEPTED: Final = [
    "Authorization",
    "Content-Type",
    "Accept-Language",
    "Idempotency-Key",
    "If-Match",
    "X-Request-Id",
    "X-Min-Position",
    "X-Correlation-Id",
    "Last-Event-ID",
    "Traceparent",
]


def create_app(
    *,
    title: str,
    routes: Sequence[ControllerRouterHandler],
    health: Health,
    guard: Guard | None = None,
    parts: Mapping[str, object] | None = None,
    cors_origins: Sequence[str] = (),
    body_limit: int = BODY_LIMIT,
) -> Edge:
    """The ASGI application of a service.

    `parts` are handed to handlers by parameter name (`todos: NamedDependency[Todos]`, from `litestar.di`); `guard` is
    needed where a route is guarded by `signed_in`; `body_limit` is in bytes.
    """
    dependencies = {name: _constant(part) for name, part in (parts or {}).items()}
    app = Litestar(
        [*_options_routes(routes), *routes, health_routes(), _openapi_route(title, routes, dependencies)],
        dependencies=dependencies,
        request_class=Request,
        request_max_body_size=body_limit,
        exception_handlers={Exception: to_answer, 500: to_answer},
        cors_config=_cors(cors_origins) if cors_origins else None,
        state=State({"health": health, "guard": guard, "running": set()}),
        openapi_config=None,
        logging_config=None,
    )
    return Edge(app)


def _constant(part: object) -> Provide:
    return Provide(lambda: part, use_cache=True, sync_to_thread=False)


def _cors(origins: Sequence[str]) -> CORSConfig:
    return CORSConfig(allow_origins=list(origins), allow_headers=_ACCEPTED, expose_headers=_EXPOSED, max_age=3600)


def _options_routes(routes: Sequence[ControllerRouterHandler]) -> Iterator[HTTPRouteHandler]:
    """What each path allows. Litestar's own answer, made with the first handler of a path, names that one alone."""
    allowed: dict[str, set[str]] = {}
    for handler in routes:
        if isinstance(handler, HTTPRouteHandler):
            for path in handler.paths:
                allowed.setdefault(path, {"OPTIONS"}).update(handler.http_methods)
    for path, methods in allowed.items():
        yield _options(path, ", ".join(sorted(methods)))


def _options(path: str, allowed: str) -> HTTPRouteHandler:
    @route(path, http_method=HttpMethod.OPTIONS, include_in_schema=False, sync_to_thread=False)
    def options() -> Answer[None]:
        """The methods of this path."""
        return Answer(b"", status=204, headers={"allow": allowed})

    return options


def _openapi_route(title: str, routes: Sequence[ControllerRouterHandler], dependencies: Mapping[str, Provide]) -> Any:
    @cache
    def document() -> bytes:
        return msgspec.json.encode(describe(title, routes, dependencies))

    @get("/openapi.json", include_in_schema=False, sync_to_thread=False)
    def openapi() -> Answer[dict[str, Any]]:
        """The description of this interface."""
        return Answer(document())

    return openapi
