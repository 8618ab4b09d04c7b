"""What is answered when something is refused: RFC 9457 problems, in the person's language.

A `Kind` is declared once beside what raises it, with both languages; `raise Problem(KIND)` anywhere in a request.
"""

from collections.abc import Mapping, Sequence

import msgspec

from api.messages import Locale, Text

MEDIA_TYPE = "application/problem+json"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A type of problem: `code` never changes, title and detail are for people and say what to do next."""

    status: int
    code: str
    title: Text
    detail: Text


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field; `field` is its path in the input (`title`, `items.0.name`)."""

    field: str
    code: str
    text: Text
    values: Mapping[str, object] = {}

    def to(self, locale: Locale) -> dict[str, str]:
        """As it is sent."""
        return {"field": self.field, "code": self.code, "message": self.text.to(locale, **self.values)}


class Problem(Exception):
    """A refusal to answer with; raise it anywhere in a request. `retry_after` is in seconds."""

    def __init__(
        self,
        kind: Kind,
        *,
        errors: Sequence[FieldError] = (),
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> None:
        super().__init__(kind.code)
        self.kind = kind
        self.errors = errors
        self.headers = dict(headers or {})
        self.values = values
        if retry_after is not None:
            self.headers["retry-after"] = str(retry_after)

    def body(self, locale: Locale, request_id: str) -> bytes:
        """The problem document."""
        document: dict[str, object] = {
            "type": f"urn:problem:{self.kind.code}",
            "title": self.kind.title.to(locale),
            "status": self.kind.status,
            "detail": self.kind.detail.to(locale, **self._values(locale)),
            "code": self.kind.code,
            "request_id": request_id,
        }
        if self.errors:
            document["errors"] = [error.to(locale) for error in self.errors]
        return msgspec.json.encode(document)

    def _values(self, locale: Locale) -> dict[str, object]:
        return {name: value.to(locale) if isinstance(value, Text) else value for name, value in self.values.items()}


def _kind(status: int, code: str, title: tuple[str, str], detail: tuple[str, str]) -> Kind:
    return Kind(status=status, code=code, title=Text(*title), detail=Text(*detail))


MALFORMED = _kind(
    400,
    "malformed",
    ("Malformed request", "잘못된 형식의 요청"),
    ("The request could not be read: {what}.", "요청을 읽을 수 없습니다: {what}."),
)
UNAUTHENTICATED = _kind(
    401,
    "unauthenticated",
    ("Not signed in", "로그인이 필요합니다"),
    (
        "Send a valid access token as `Authorization: Bearer`; sign in or refresh to get one.",
        "유효한 액세스 토큰을 `Authorization: Bearer`로 보내세요. 로그인하거나 토큰을 갱신하면 받을 수 있습니다.",
    ),
)
FORBIDDEN = _kind(
    403,
    "forbidden",
    ("Not allowed", "권한이 없습니다"),
    ("Your account may not do this.", "이 계정으로는 할 수 없는 작업입니다."),
)
NOT_FOUND = _kind(
    404,
    "not_found",
    ("Not found", "찾을 수 없습니다"),
    ("There is nothing here for you; check the address.", "요청한 항목이 없습니다. 주소를 확인하세요."),
)
METHOD_NOT_ALLOWED = _kind(
    405,
    "method_not_allowed",
    ("Method not allowed", "허용되지 않는 메서드"),
    ("Use one of the methods in the `Allow` header.", "`Allow` 헤더에 있는 메서드를 사용하세요."),
)
CONFLICT = _kind(
    409,
    "conflict",
    ("Changed meanwhile", "다른 변경과 충돌했습니다"),
    (
        "Something else changed this first; read it again and retry.",
        "다른 변경이 먼저 적용되었습니다. 다시 읽고 시도하세요.",
    ),
)
STILL_RUNNING = _kind(
    409,
    "still_running",
    ("Still running", "아직 처리 중입니다"),
    (
        "A request with this Idempotency-Key is still running; retry in a moment.",
        "같은 Idempotency-Key의 요청이 아직 처리 중입니다. 잠시 후 다시 시도하세요.",
    ),
)
STALE = _kind(
    412,
    "stale",
    ("Changed since you read it", "읽은 뒤에 변경되었습니다"),
    ("`If-Match` names an older version; read it again.", "`If-Match`의 버전이 오래되었습니다. 다시 읽으세요."),
)
TOO_LARGE = _kind(
    413,
    "too_large",
    ("Body too large", "본문이 너무 큽니다"),
    ("Send a smaller body.", "더 작은 본문을 보내세요."),
)
UNSUPPORTED_MEDIA_TYPE = _kind(
    415,
    "unsupported_media_type",
    ("Not JSON", "JSON이 아닙니다"),
    ("Send the body as `Content-Type: application/json`.", "본문을 `Content-Type: application/json`으로 보내세요."),
)
INVALID = _kind(
    422,
    "invalid",
    ("Invalid input", "입력값이 올바르지 않습니다"),
    ("Correct the fields listed in `errors`.", "`errors`에 있는 항목을 고치세요."),
)
KEY_REUSED = _kind(
    422,
    "key_reused",
    ("Idempotency-Key used before", "이미 사용된 Idempotency-Key"),
    (
        "This Idempotency-Key was used for another request; use a fresh one.",
        "이 Idempotency-Key는 다른 요청에 사용되었습니다. 새 키를 사용하세요.",
    ),
)
TOO_MANY_REQUESTS = _kind(
    429,
    "too_many_requests",
    ("Too many requests", "요청이 너무 많습니다"),
    ("Wait as long as `Retry-After` says.", "`Retry-After`만큼 기다렸다가 다시 시도하세요."),
)
INTERNAL = _kind(
    500,
    "internal",
    ("Our fault", "서버 오류"),
    (
        "Something broke on our side and was recorded; quote the request_id.",
        "서버에서 문제가 발생해 기록했습니다. 문의할 때 request_id를 알려 주세요.",
    ),
)
UNAVAILABLE = _kind(
    503,
    "unavailable",
    ("Not available right now", "지금은 사용할 수 없습니다"),
    ("Nothing was changed; retry after `Retry-After`.", "변경된 것은 없습니다. `Retry-After` 이후 다시 시도하세요."),
)
OUTCOME_UNKNOWN = _kind(
    503,
    "outcome_unknown",
    ("Outcome unknown", "결과를 알 수 없습니다"),
    (
        "The change may or may not have been made; retry, with the same Idempotency-Key if you sent one.",
        "변경이 적용되었는지 알 수 없습니다. 다시 시도하되, Idempotency-Key를 보냈다면 같은 키를 쓰세요.",
    ),
)
