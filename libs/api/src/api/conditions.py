"""Conditional writes: an `ETag` is the aggregate's version, `If-Match` asks for exactly that one (RFC 9110, 13.1.1)."""

from api.problems import STALE, Problem
from api.requests import Request


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def require_match(request: Request, version: int) -> None:
    """Raises `Problem` (412) where `If-Match` is there and names neither this version nor `*`."""
    wanted = request.headers.get("if-match")
    if wanted is not None and not {"*", etag(version)} & {tag.strip() for tag in wanted.split(",")}:
        raise Problem(STALE)
