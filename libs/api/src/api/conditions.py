"""Conditional writes: an `ETag` is the aggregate's version, `If-Match` asks for exactly that one (RFC 9110, 13.1.1)."""

from api.problems import STALE, Problem


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def require_match(wanted: str | None, version: int) -> None:
    """Raises `Problem` (412) where the value of `If-Match` is there and names neither this version nor `*`."""
    if wanted is not None and not {"*", etag(version)} & {tag.strip() for tag in wanted.split(",")}:
        raise Problem(STALE)
