"""What an operation may refuse: which problems, told from what its handler is, and how a document says them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler

from api.guard import signed_in
from api.problems import (
    CONFLICT,
    FORBIDDEN,
    INVALID,
    KEY_REUSED,
    MALFORMED,
    MEDIA_TYPE,
    NOT_FOUND,
    OUTCOME_UNKNOWN,
    STALE,
    STILL_RUNNING,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    Kind,
)
from events.errors import OutcomeUnknown

_READS: Final = {"GET", "HEAD"}
_LATER: Final = {"still_running"}
_PLACEHOLDER: Final = re.compile(r"\{\w+\}")

PROBLEM: Final = {
    "title": "Problem",
    "description": "What was refused, as RFC 9457 says. `errors` names each bad field.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "`urn:problem:` and the code"},
        "title": {"type": "string", "description": "In the language of the request"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What to do next, in the language of the request"},
        "code": {"type": "string", "description": "Stable; meant for programs"},
        "request_id": {"type": "string", "description": "What to quote when asking for help; also `X-Request-Id`"},
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


class Declared(msgspec.Struct, frozen=True):
    """What a handler says of itself beyond its types: further keyword arguments of its decorator (`waits=True`).

    Everything has a default that is told from the route; None stands for that.
    """

    problems: Sequence[Kind] = ()
    """What it refuses for reasons of its own."""
    keyed: bool | None = None
    """Takes an `Idempotency-Key`: what a signed-in person writes, unless outcomes are answered in another way."""
    if_match: bool | None = None
    """Takes `If-Match`: every keyed write on something with an id in its path."""
    versioned: bool | None = None
    """Answers with an `ETag`: data with a `version` in it."""
    waits: bool = False
    """Takes `X-Min-Position`."""
    media: tuple[str, ...] = ()
    """Other media types of its answer, chosen by `Accept` or a parameter."""
    headers: tuple[str, ...] = ()
    """Headers of its answer that few others bring."""


class Traits(msgspec.Struct, frozen=True):
    """What an operation is, as far as a client must know."""

    signed_in: bool
    by_role: bool
    writes: bool
    named: bool
    body: bool
    keyed: bool
    if_match: bool
    waits: bool


def traits_of(handler: HTTPRouteHandler, declared: Declared) -> Traits:
    """From a handler's guards, method, path, body and what it declares."""
    guards = handler.resolve_guards()
    writes = handler.http_methods.isdisjoint(_READS)
    named = any("{" in path for path in handler.paths)
    by_default = writes and signed_in in guards and OutcomeUnknown not in handler.resolve_exception_handlers()
    keyed = by_default if declared.keyed is None else declared.keyed
    return Traits(
        signed_in=signed_in in guards,
        by_role=len(guards) > 1,
        writes=writes,
        named=named,
        body=handler.parsed_data_field is not None,
        keyed=keyed,
        if_match=keyed and named if declared.if_match is None else declared.if_match,
        waits=declared.waits,
    )


def kinds_of(traits: Traits, declared: Declared) -> list[Kind]:
    """The problems of an operation by status; any may be malformed, invalid (U+0000 anywhere) or come at a bad time."""
    found = {
        MALFORMED: True,
        UNAUTHENTICATED: traits.signed_in,
        FORBIDDEN: traits.by_role,
        NOT_FOUND: traits.named,
        CONFLICT: (traits.keyed and traits.named) or traits.if_match,
        STILL_RUNNING: traits.keyed,
        STALE: traits.if_match,
        TOO_LARGE: traits.body or traits.keyed,
        UNSUPPORTED_MEDIA_TYPE: traits.body,
        INVALID: True,
        KEY_REUSED: traits.keyed,
        UNAVAILABLE: True,
        OUTCOME_UNKNOWN: traits.writes,
    }
    by_code = {kind.code: kind for kind in (*(kind for kind, is_so in found.items() if is_so), *declared.problems)}
    return sorted(by_code.values(), key=lambda kind: (kind.status, kind.code))


def responses(kinds: Iterable[Kind]) -> Mapping[int, tuple[str, dict[str, Any]]]:
    """By status: the name of a response for exactly these problems, and the response."""
    by_status = {status: list(same) for status, same in groupby(kinds, key=lambda kind: kind.status)}
    return {
        status: (".".join([str(status), *(kind.code for kind in same)]), _response(status, same))
        for status, same in by_status.items()
    }


def _response(status: int, kinds: list[Kind]) -> dict[str, Any]:
    codes = [kind.code for kind in kinds]
    headers = {"X-Request-Id": header("X-Request-Id")}
    if status in {429, 503} or _LATER & set(codes):
        headers["Retry-After"] = header("Retry-After")
    if status == 401:
        headers["WWW-Authenticate"] = header("WWW-Authenticate")
    # With their types, and no `const`: generators of clients merge these with the problem's own, or drop the response.
    own = {"properties": {"status": {"type": "integer", "enum": [status]}, "code": {"type": "string", "enum": codes}}}
    content = {
        "schema": {"allOf": [{"$ref": "#/components/schemas/Problem"}, own]},
        "examples": {kind.code: {"summary": kind.title.en, "value": _example(kind)} for kind in kinds},
    }
    said = "\n".join(f"- `{kind.code}`: {kind.title.en}. {_readable(kind)}" for kind in kinds)
    return {"description": said, "headers": headers, "content": {MEDIA_TYPE: content}}


def header(name: str) -> dict[str, str]:
    """A header of the document's components."""
    return {"$ref": f"#/components/headers/{name}"}


def _readable(kind: Kind) -> str:
    return _PLACEHOLDER.sub("…", kind.detail.en)


def _example(kind: Kind) -> dict[str, Any]:
    example = {
        "type": f"urn:problem:{kind.code}",
        "title": kind.title.en,
        "status": kind.status,
        "detail": _readable(kind),
        "code": kind.code,
        "request_id": "01a20814-5a7e-7c3f-8d55-0f3d7f6f9f10",
    }
    bad_field = {"field": "title", "code": "required", "message": "is required"}
    return example | ({"errors": [bad_field]} if kind is INVALID else {})
