"""When those who look from time to time do so: together, so that a process wakes once for all (docs/adr/0032)."""

import asyncio
from math import floor
from typing import Final

BEAT: Final = 0.25
_EARLY: Final = 0.01
"""A loop counts in milliseconds: who was woken a moment before the beat waits for the next but one."""


def beat(seconds: float) -> float:
    """How long to wait for `seconds` to be over at a beat: up to a quarter of a second less, or 10 ms more.

    What is less than a beat is told as it is.
    """
    if seconds < BEAT:
        return seconds
    now = asyncio.get_running_loop().time()
    return floor((now + seconds + _EARLY) / BEAT) * BEAT - now
