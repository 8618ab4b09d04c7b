"""A mail server that hangs, drops the connection after the final dot, or does not want anything now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random

from faults.fault import Effect, Fault
from faults.post import Mood
from faults.waiting import until
from faults.world import World


@asynccontextmanager
async def moody(world: World, dice: Random, effect: Effect, *, mood: Mood) -> AsyncIterator[None]:
    """Letters meet it for a while."""
    before = world.post.spoiled
    world.post.be(mood)
    try:
        await until(lambda: _spoiled(world, before), f"a letter meets a server that {mood}", within=30)
        await asyncio.sleep(dice.uniform(0.0, 15.0 if mood == "hangs" else 2.0))
        yield
        effect.see(f"{world.post.spoiled - before} letters met a server that {mood}")
    finally:
        world.post.be("kind")


async def _spoiled(world: World, before: int) -> bool:
    return world.post.spoiled > before


_MOODS: tuple[Mood, ...] = ("hangs", "drops", "refuses")
FAULTS = [Fault(f"mail-server-{mood}", partial(moody, mood=mood)) for mood in _MOODS]
