"""Keyset pages: a cursor names the last row that was sent, so new rows never shift the pages."""

import base64
import binascii
from typing import Annotated, Final, TypeVar, cast

import msgspec
from litestar.params import QueryParameter

from api.fields import decode
from api.messages import Text
from api.problems import MALFORMED, Problem

T = TypeVar("T")

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many entries at most")]
Cursor = Annotated[str | None, QueryParameter(max_length=512, description="`next_cursor` of the page before")]


_NOT_OURS: Final = Text("`cursor` must be a `next_cursor` of ours", "`cursor`는 이전 응답의 `next_cursor`여야 합니다")


def to_cursor(last: object) -> str:
    """An opaque cursor from the sort key of a page's last row."""
    return base64.urlsafe_b64encode(msgspec.json.encode(last)).rstrip(b"=").decode()


def from_cursor(cursor: str, key: type[T]) -> T:
    """The sort key in a cursor; raises `Problem` (400) for one that we did not make."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return cast("T", decode(raw, key))
    except (binascii.Error, ValueError, Problem):
        raise Problem(MALFORMED, what=_NOT_OURS) from None
