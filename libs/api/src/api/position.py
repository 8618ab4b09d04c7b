"""Read your writes: a read may ask for a projection that has heard what a write said (`X-Min-Position: TODOS:1234`)."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import msgspec

from api.messages import Text
from api.problems import MALFORMED, UNAVAILABLE, Problem
from api.requests import Request

PositionOf = Callable[[str], Awaitable[tuple[int, int | None]]]
"""A feed's seq here and its last one, None while that is not known; raises `KeyError` for a feed not heard here."""

_POSITION: Final = re.compile(r"([A-Z]{1,32}):([0-9]{1,18})")
_PATIENCE: Final = 2.0
_POLL: Final = 0.02

_UNREADABLE: Final = Text(
    "`X-Min-Position` must look like TODOS:1234", "`X-Min-Position`은 TODOS:1234 형식이어야 합니다"
)
_UNHEARD: Final = Text("`X-Min-Position` names a feed not heard here", "`X-Min-Position`의 피드는 여기에 없습니다")
_BEYOND: Final = Text("`X-Min-Position` lies beyond the log", "`X-Min-Position`이 로그의 끝을 넘습니다")


class Position(msgspec.Struct, frozen=True):
    """A place in a feed."""

    feed: str
    seq: int


def wanted_position(request: Request) -> Position | None:
    """What `X-Min-Position` asks for, None without it; raises `Problem` (400) where it cannot be read."""
    text = request.headers.get("x-min-position")
    if text is None:
        return None
    found = _POSITION.fullmatch(text)
    if found is None:
        raise Problem(MALFORMED, what=_UNREADABLE)
    return Position(found[1], int(found[2]))


async def wait_for_position(request: Request, position_of: PositionOf) -> None:
    """Wait up to 2 s for the projection; raises `Problem`: 503 when it is late, 400 for what the feed has not."""
    wanted = wanted_position(request)
    if wanted is None:
        return
    deadline = monotonic() + _PATIENCE
    while True:
        here, last = await _look(wanted.feed, position_of)
        if here >= wanted.seq:
            return
        if monotonic() > deadline:
            # Judged last: a relay needs a moment to bring a fresh number into the stream.
            beyond = last is not None and wanted.seq > last
            raise Problem(MALFORMED, what=_BEYOND) if beyond else Problem(UNAVAILABLE, retry_after=1)
        await asyncio.sleep(_POLL)


async def _look(feed: str, position_of: PositionOf) -> tuple[int, int | None]:
    try:
        return await position_of(feed)
    except KeyError:
        raise Problem(MALFORMED, what=_UNHEARD) from None
