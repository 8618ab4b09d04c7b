"""The OpenAPI 3.1 document of a service, told from its handlers: their types, guards, paths, and what they declare.

Litestar knows the routes and signatures. The document is ours: its generator drops a `minimum` of 0, and knows no
headers, problems or examples. What a handler cannot show is a keyword argument of its decorator (see `Declared`).
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType
from typing import Any, Final, get_args

import msgspec
from litestar import Litestar
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from api.answers import JSON
from api.headers import HEADERS, PARAMETERS
from api.messages import Message
from api.refusals import PROBLEM, Declared, Traits, header, kinds_of, responses, traits_of
from api.requests import Request
from api.schemas import Schema, Schemas

VERSION: Final = "1.0.0"

ABOUT: Final = (
    "A success is `{message_key, message, data}`, a refusal a problem as in RFC 9457 whose `code` never changes. "
    "Every path works with and without a trailing slash. Empty parameters count as absent. U+0000 is refused anywhere."
)

_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The `access_token` of `POST /users/verify-otp` or `/users/refresh`; good for ten minutes",
}


def describe(
    title: str, routes: Sequence[ControllerRouterHandler], dependencies: Mapping[str, Provide]
) -> dict[str, Any]:
    """The document of these routes."""
    app = Litestar(
        list(routes), dependencies=dependencies, request_class=Request, openapi_config=None, logging_config=None
    )
    document = _Document(set(dependencies))
    operations = list(_operations(app))
    for _, _, handler in operations:
        document.learn(handler)
    for path, method, handler in operations:
        document.add(path, method, handler)
    return document.whole(title)


def _operations(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in sorted(app.routes, key=lambda route: route.path):
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in sorted(route.route_handler_map.items()):
                if handler.resolve_include_in_schema() and method != "OPTIONS":
                    yield route.path_format or "/", method.lower(), handler


class _Document:
    """A document while it is written."""

    def __init__(self, parts: set[str]) -> None:
        self._parts = parts
        self._schemas = Schemas()
        self._paths: dict[str, dict[str, Any]] = {}
        self._responses: dict[str, Any] = {}

    def learn(self, handler: HTTPRouteHandler) -> None:
        """Know its types, and the examples in them, before anything is described."""
        if handler.parsed_data_field is not None:
            self._schemas.of(handler.parsed_data_field.annotation)
        self._schemas.of(_answered(handler))

    def add(self, path: str, method: str, handler: HTTPRouteHandler) -> None:
        """Describe an operation."""
        declared = Declared(**handler.opt)
        traits = traits_of(handler, declared)
        tag = path.split("/")[1].strip(".") or "root"
        said = inspect.cleandoc(handler.description or handler.fn.__doc__ or handler.handler_name)
        operation: dict[str, Any] = {
            "operationId": handler.operation_id or f"{tag}_{handler.handler_name}".replace("-", "_"),
            "summary": handler.summary or said.partition("\n")[0].partition(". ")[0].rstrip("."),
            "description": said,
            "tags": sorted(handler.resolve_tags()) or [tag],
            "security": [{"bearer": []}] if traits.signed_in else [],
            "parameters": [*self._parameters(path, handler), *_headers_in(traits)],
        }
        if handler.parsed_data_field is not None:
            operation["requestBody"] = self._body(handler)
        operation["responses"] = self._answers(handler, declared, traits)
        self._paths.setdefault(path, {})[method] = operation

    def whole(self, title: str) -> dict[str, Any]:
        """The document with everything that it refers to."""
        tags = sorted({tag for path in self._paths.values() for one in path.values() for tag in one["tags"]})
        return {
            "openapi": "3.1.0",
            "info": {"title": title, "version": VERSION, "description": ABOUT},
            "servers": [{"url": "/", "description": "The gateway"}],
            "tags": [{"name": tag} for tag in tags],
            "paths": self._paths,
            "components": {
                "schemas": dict(sorted(self._schemas.components.items())) | {"Problem": PROBLEM},
                "responses": dict(sorted(self._responses.items())),
                "parameters": PARAMETERS,
                "headers": HEADERS,
                "securitySchemes": {"bearer": _BEARER},
            },
        }

    def _parameters(self, path: str, handler: HTTPRouteHandler) -> Iterator[dict[str, Any]]:
        signature = handler.parsed_fn_signature.parameters
        for field in msgspec.structs.fields(handler.signature_model):
            kwarg = signature[field.name].kwarg_definition
            if field.name in self._parts or not isinstance(kwarg, ParameterKwarg) or not kwarg.include_in_schema:
                continue
            schema = _without_null(self._schemas.of(field.type))
            if not field.required and field.default not in {None, msgspec.NODEFAULT}:
                schema["default"] = field.default
            in_path = f"{{{field.name}" in path
            yield {
                "name": kwarg.header or kwarg.query or field.name,
                "in": "path" if in_path else "header" if kwarg.header else "query",
                "required": in_path or field.required,
                "description": schema.pop("description", None) or _words(field.name),
                "schema": schema,
            }

    def _body(self, handler: HTTPRouteHandler) -> dict[str, Any]:
        data = handler.parsed_data_field
        assert data is not None  # noqa: S101 - who calls has looked
        annotation = data.annotation
        schema = self._schemas.of(annotation)
        content = {"schema": schema, "example": self._schemas.example(schema)}
        return {"required": type(None) not in get_args(annotation), "content": {JSON: content}}

    def _answers(self, handler: HTTPRouteHandler, declared: Declared, traits: Traits) -> dict[str, Any]:
        found = {str(handler.status_code): self._success(handler, declared, traits)}
        for status, spec in (handler.responses or {}).items():
            schema = self._schemas.of(spec.data_container)
            content = {str(spec.media_type): {"schema": schema, "example": self._schemas.example(schema)}}
            found[str(status)] = {"description": spec.description, "headers": _named(), "content": content}
        for status, (name, response) in responses(kinds_of(traits, declared)).items():
            self._responses[name] = response
            found[str(status)] = {"$ref": f"#/components/responses/{name}"}
        return found

    def _success(self, handler: HTTPRouteHandler, declared: Declared, traits: Traits) -> dict[str, Any]:
        message = _message_of(handler)
        schema, example, data = self._shown(handler, message)
        versioned = "version" in data.get("properties", {}) if declared.versioned is None else declared.versioned
        names = {
            "ETag": versioned,
            "Location": handler.status_code == 201,
            "Link": "next_cursor" in self._schemas.resolved(schema).get("properties", {}),
            "X-Event-Position": traits.writes,
            "Idempotency-Replayed": traits.keyed,
        }
        answer: dict[str, Any] = {
            "description": message.en if message else "As asked",
            "headers": _named(*(name for name, is_so in names.items() if is_so), *declared.headers),
        }
        if handler.status_code != 204:
            texts = {media: {"schema": {"type": "string"}} for media in declared.media}
            answer["content"] = {JSON: {"schema": schema, "example": example}, **texts}
        return answer

    def _shown(self, handler: HTTPRouteHandler, message: Message | None) -> tuple[Schema, Any, Schema]:
        """The schema of a success answer, an example, and the schema of what is inside `data`."""
        schema = self._schemas.of(_answered(handler))
        example = self._schemas.example(schema)
        if message and isinstance(example, dict) and "message_key" in example:
            example |= {"message_key": message.key, "message": message.en}
        data = self._schemas.resolved(schema).get("properties", {}).get("data", {})
        return schema, example, self._schemas.resolved(data)


def _answered(handler: HTTPRouteHandler) -> Any:
    """What is inside the `Answer` that a handler gives."""
    wanted = get_args(handler.parsed_return_field.annotation)
    return wanted[0] if wanted else Any


def _headers_in(traits: Traits) -> list[dict[str, str]]:
    names = {
        "Idempotency-Key": traits.keyed,
        "If-Match": traits.if_match,
        "X-Min-Position": traits.waits,
        "Accept-Language": True,
        "X-Request-Id": True,
    }
    return [{"$ref": f"#/components/parameters/{name}"} for name, is_so in names.items() if is_so]


def _named(*names: str) -> dict[str, Any]:
    return {name: header(name) for name in (*names, "X-Request-Id")}


def _without_null(schema: Schema) -> Schema:
    """A parameter is absent rather than null."""
    choices = [choice for choice in schema.pop("anyOf", ()) if choice != {"type": "null"}]
    return {**schema, **choices[0]} if len(choices) == 1 else {**schema, **({"anyOf": choices} if choices else {})}


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize().replace(" id", " id, a UUID")


def _message_of(handler: HTTPRouteHandler) -> Message | None:
    """What the handler says when it is done: the first of its module's messages that it names."""
    function = inspect.unwrap(handler.fn)
    for name in _names(function.__code__):
        found = function.__globals__.get(name)
        if isinstance(found, Message):
            return found
    return None


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
