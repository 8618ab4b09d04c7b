"""The OpenAPI 3.1 document of a service, made from its handlers' types."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from litestar import Litestar
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from api.guard import signed_in
from api.problems import MEDIA_TYPE
from api.requests import Request

VERSION: Final = "1.0.0"

_PROBLEM: Final = {
    "description": "What was refused, as RFC 9457 says",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable; meant for programs"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
            },
        },
    },
}
_BEARER: Final = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def describe(
    title: str, routes: Sequence[ControllerRouterHandler], dependencies: Mapping[str, Provide]
) -> dict[str, Any]:
    """The document; an application of its own keeps Litestar's documentation pages out of the served one."""
    app = Litestar(
        list(routes), dependencies=dependencies, openapi_config=OpenAPIConfig(title, VERSION), request_class=Request
    )
    document: dict[str, Any] = app.openapi_schema.to_schema()
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
    components["securitySchemes"] = {"bearer": _BEARER}
    for handler, operation in _operations(app, document):
        operation["responses"].pop("400", None)
        operation["responses"]["default"] = _PROBLEM
        if signed_in in handler.resolve_guards():
            operation["security"] = [{"bearer": []}]
    return document


def _operations(app: Litestar, document: dict[str, Any]) -> Iterator[tuple[HTTPRouteHandler, dict[str, Any]]]:
    """Each described operation beside the handler that it describes."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                operation = document["paths"].get(route.path_format or "/", {}).get(method.lower())
                if operation:
                    yield handler, operation
