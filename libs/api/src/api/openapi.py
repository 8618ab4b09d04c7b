"""The OpenAPI 3.1 document of a service, made from its handlers' types."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
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
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes a retry safe: the same key within 24 hours gives the first answer again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_MODULES: Final = re.compile(r"(?<=_)(?:\w+\.)+")
_BEARER: Final = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def describe(
    title: str, routes: Sequence[ControllerRouterHandler], dependencies: Mapping[str, Provide]
) -> dict[str, Any]:
    """The document; an application of its own keeps Litestar's documentation pages out of the served one."""
    app = Litestar(
        list(routes),
        dependencies=dependencies,
        request_class=Request,
        openapi_config=OpenAPIConfig(title, VERSION),
        logging_config=None,
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
            if handler.http_methods.isdisjoint({"GET", "HEAD"}):
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    return _with_short_names(document)


def _with_short_names(document: dict[str, Any]) -> dict[str, Any]:
    """Generic structs by readable names: `Envelope_todos.api.Todo_` becomes `Envelope_Todo`."""
    schemas = document["components"]["schemas"]
    text = msgspec.json.encode(document).decode()
    for name in schemas:
        short = _MODULES.sub("", name).strip("_")
        if short not in schemas:
            text = text.replace(f'"{name}":', f'"{short}":').replace(f'/schemas/{name}"', f'/schemas/{short}"')
    return cast("dict[str, Any]", msgspec.json.decode(text))


def _operations(app: Litestar, document: dict[str, Any]) -> Iterator[tuple[HTTPRouteHandler, dict[str, Any]]]:
    """Each described operation beside the handler that it describes."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                operation = document["paths"].get(route.path_format or "/", {}).get(method.lower())
                if operation:
                    yield handler, operation
