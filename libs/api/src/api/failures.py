"""Every exception to a problem: what leaves a handler is answered here, and never with a trace."""

from traceback import format_tb
from typing import Any, cast

import asyncpg
import litestar
import structlog
from litestar.exceptions import HTTPException, ValidationException

from api.answers import Answer
from api.fields import field_error
from api.messages import Text, locale_of
from api.problems import (
    CONFLICT,
    FORBIDDEN,
    INTERNAL,
    INVALID,
    KEY_REUSED,
    MALFORMED,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OUTCOME_UNKNOWN,
    STALE,
    TOO_LARGE,
    TOO_MANY_REQUESTS,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    Kind,
    Problem,
)
from api.requests import trace_of
from events import errors

log = structlog.get_logger(__name__)

_BY_STATUS: dict[int, Kind] = {
    kind.status: kind
    for kind in (
        MALFORMED,
        UNAUTHENTICATED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        CONFLICT,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        TOO_MANY_REQUESTS,
        UNAVAILABLE,
    )
}

_BAD_HEAD = Text("its address or headers", "주소나 헤더가 잘못되었습니다")
_NO_BODY = Text("a JSON body is required", "JSON 본문이 필요합니다")

_DATABASE_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
_BAD_DATA = (asyncpg.DataError, asyncpg.exceptions.DataError, errors.BadCommand)


def to_answer(request: litestar.Request[Any, Any, Any], failure: Exception) -> Answer[Any]:
    """The answer to any exception; what nobody foresaw is logged with its trace and answered without."""
    problem = to_problem(failure, conditional="if-match" in request.headers)
    if problem.kind is INTERNAL:
        log.error("request failed", failure=type(failure).__qualname__, where=where(failure))
    body = problem.body(locale_of(request), trace_of(request).request_id)
    return Answer(body, status=problem.kind.status, headers=problem.headers, media=MEDIA_TYPE)


def where(failure: Exception) -> str:
    """The place that an exception comes from. Not what it says: that may quote an address or a code."""
    return "".join(format_tb(failure.__traceback__))


def to_problem(failure: Exception, *, conditional: bool = False) -> Problem:
    """What to answer to an exception; `conditional` says that the request carried `If-Match`."""
    match failure:
        case Problem():
            problem = failure
        case ValidationException():
            problem = _of_parameters(failure)
        case HTTPException():
            problem = _of_litestar(failure)
        case errors.VersionConflict():
            problem = Problem(STALE if conditional else CONFLICT)
        case errors.KeyReused():
            problem = Problem(KEY_REUSED)
        case errors.NotNow():
            kind = OUTCOME_UNKNOWN if isinstance(failure, errors.OutcomeUnknown) else UNAVAILABLE
            problem = Problem(kind, retry_after=failure.retry_after)
        case _:
            problem = _of_database(failure)
    return problem


def _of_database(failure: Exception) -> Problem:
    if isinstance(failure, _BAD_DATA):
        log.warning("input refused by the database", failure=type(failure).__qualname__)
        return Problem(INVALID)
    if isinstance(failure, _DATABASE_AWAY):
        log.warning("a dependency is away", failure=type(failure).__qualname__)
        return Problem(UNAVAILABLE, retry_after=1)
    return Problem(INTERNAL)


def _of_litestar(failure: HTTPException) -> Problem:
    """Litestar's own refusals: routing, body size, a broken Host."""
    kind = _BY_STATUS.get(failure.status_code, INTERNAL)
    headers = {name.lower(): value for name, value in (failure.headers or {}).items()}
    return Problem(kind, headers=headers, what=_BAD_HEAD)


def _of_parameters(failure: ValidationException) -> Problem:
    """Parameters that do not fit the handler's signature; a missing body counts as malformed."""
    found = cast("list[dict[str, str]]", failure.extra or [])
    if any(each.get("key") == "data" for each in found):
        return Problem(MALFORMED, what=_NO_BODY)
    # A parameter is absent rather than null.
    refused = [(each.get("key", "query"), each["message"].replace(" | null", "")) for each in found]
    return Problem(INVALID, errors=[field_error(name, message) for name, message in refused])
