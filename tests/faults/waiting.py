"""Waiting for a condition with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class TooLate(Exception):
    """A condition did not come true in time."""


async def until(look: Callable[[], Awaitable[T]], what: str, *, within: float, every: float = 0.02) -> T:
    """Wait until `look` gives something true, and return that; raises `TooLate`, which names `what`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not (found := await look()):
        if loop.time() > deadline:
            raise TooLate(f"{what}: not within {within:.0f} s")
        await asyncio.sleep(every)
    return found
