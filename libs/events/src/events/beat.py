"""When those who look from time to time do so: at once, for a process that wakes for one looks for all.

Half of what an idle process costs is waking: the loop, the connections, the servers behind them.
"""

import asyncio
from math import floor
from typing import Final

BEAT: Final = 0.25
_EARLY: Final = 0.01
"""A loop counts in milliseconds: who was woken a moment before the beat waits for the next but one."""


def beat(seconds: float) -> float:
    """How long to wait for `seconds` (one beat at least) to be over at a beat: a quarter of a second less at most."""
    now = asyncio.get_running_loop().time()
    return floor((now + seconds + _EARLY) / BEAT) * BEAT - now
