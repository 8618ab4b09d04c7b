"""Read your writes: a read may ask for a projection that has heard what a write said (`X-Min-Position: TODOS:1234`)."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import msgspec

from api.problems import MALFORMED, UNAVAILABLE, Problem
from api.requests import Request

PositionOf = Callable[[str], Awaitable[tuple[int, int]]]
"""A feed's position here and the last number of its log (both a seq); raises `KeyError` for a feed not heard here."""

_POSITION: Final = re.compile(r"([A-Z]{1,32}):(\d{1,18})")
_PATIENCE: Final = 2.0
_POLL: Final = 0.02


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
        raise Problem(MALFORMED, what="`X-Min-Position` must look like TODOS:1234")
    return Position(found[1], int(found[2]))


async def wait_for_position(request: Request, position_of: PositionOf) -> None:
    """Wait up to 2 s for the projection; raises `Problem`: 503 when it is late, 400 for what no log has."""
    wanted = wanted_position(request)
    deadline = monotonic() + _PATIENCE
    while wanted is not None and not await _reached(wanted, position_of):
        if monotonic() > deadline:
            raise Problem(UNAVAILABLE, retry_after=1)
        await asyncio.sleep(_POLL)


async def _reached(wanted: Position, position_of: PositionOf) -> bool:
    try:
        here, last = await position_of(wanted.feed)
    except KeyError:
        raise Problem(MALFORMED, what="`X-Min-Position` names a feed that is not heard here") from None
    if wanted.seq > max(here, last):
        raise Problem(MALFORMED, what="`X-Min-Position` lies beyond the log")
    return here >= wanted.seq
