"""The headers of the house, as an OpenAPI document describes them: what requests may carry, what answers bring."""

from typing import Any, Final


def _parameter(name: str, description: str, example: str, **schema: object) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
        "example": example,
    }


def _header(description: str, example: object, **schema: object) -> dict[str, Any]:
    required = schema.pop("required", False)
    return {
        "description": description,
        "required": required,
        "schema": {"type": "string", **schema},
        "example": example,
    }


PARAMETERS: Final = {
    "Idempotency-Key": _parameter(
        "Idempotency-Key",
        "Makes a retry safe: the same key within 24 hours gives the first answer again; another body is refused",
        "6f1c1f0a-0001",
        pattern="^[!-~]{1,255}$",
    ),
    "If-Match": _parameter("If-Match", "Only if this is still the version, as an `ETag` said; `*` for any", '"1"'),
    "X-Min-Position": _parameter(
        "X-Min-Position",
        "Read your writes: wait up to 2 s until this has been heard, as `X-Event-Position` of a write said",
        "TODOS:1",
        pattern="^[A-Z]{1,32}:[0-9]{1,18}$",
    ),
    "Accept-Language": _parameter(
        "Accept-Language", "The language of `message`, `title` and `detail`: `en` or `ko`", "ko"
    ),
    "X-Request-Id": _parameter(
        "X-Request-Id",
        "Comes back in the answer and in every event that the request causes; one is made where it is absent or odd",
        "req-0001",
    ),
}

HEADERS: Final = {
    "ETag": _header("The version: send it as `If-Match`", '"1"', pattern='^"[0-9]+"$', required=True),
    "Location": _header(
        "Where the new resource is", "/todos/01a20814-539f-7708-909d-2061a066dbb9", pattern="^/", required=True
    ),
    "Link": _header(
        'The next page\'s address, `rel="next"`; absent at the end', '</todos?limit=20&cursor=WyIy>; rel="next"'
    ),
    "X-Metric-Version": _header("The version of the metric's definition", 1, type="integer", required=True),
    "X-Archive-Position": _header(
        "How many events the figures reflect: ask again `as_of` it for the same", 1234, type="integer", required=True
    ),
    "X-Reflects": _header("The moment that they reflect; empty before the first event", "2026-11-28T09:00:00+00:00"),
    "Retry-After": _header("Seconds to wait before the next try", 1, type="integer", minimum=0),
    "X-Request-Id": _header("Names this request; quote it when asking for help", "req-0001", required=True),
    "X-Event-Position": _header(
        "The last event that this caused; a read elsewhere may wait for it with `X-Min-Position`",
        "TODOS:1",
        pattern="^[A-Z]{1,32}:[0-9]{1,18}$",
    ),
    "Idempotency-Replayed": _header("`true` where this is the first answer again", "true", enum=["true"]),
    "WWW-Authenticate": _header("How to sign in (RFC 6750)", "Bearer", required=True),
}
