"""Deciding again: optimistic concurrency as a loop around load, decide, append."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import uniform
from typing import Final, TypeVar

from events.errors import VersionConflict

T = TypeVar("T")

TRIES: Final = 5


async def decided_again(attempt: Callable[[], Awaitable[T]]) -> T:
    """Attempt until no other command comes first; raises `VersionConflict` when that never ends."""
    for _ in range(TRIES - 1):
        with suppress(VersionConflict):
            return await attempt()
        await asyncio.sleep(uniform(0, 0.02))  # noqa: S311 - jitter, not a secret
    return await attempt()
