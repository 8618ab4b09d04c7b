"""Ids that sort by time (RFC 9562, UUID version 7)."""

from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7

__all__ = ["uuid7"]


def uuid7() -> UUID:
    """A new time-ordered id; two made in one process in turn sort in that order."""
    return _uuid7()
