"""The clock of every service jumps, and later back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random

from faults.fault import Effect, Fault
from faults.waiting import until
from faults.world import World

_NEWEST = "select time from events.log where feed = 'TODOS' order by seq desc limit 1"


@asynccontextmanager
async def jumped(world: World, dice: Random, effect: Effect) -> AsyncIterator[None]:
    """Some minutes forth or back: less than a code and an access token live, so that people go on."""
    jump = dice.choice((-1, 1)) * dice.uniform(60, 280)
    world.set_clock(jump)

    async def off() -> bool:
        newest = await world.value("todos", _NEWEST)
        return bool(abs((newest - datetime.now(UTC)).total_seconds() - jump) < 15)

    try:
        await until(off, "an event with the time of the jump", within=20)
        effect.see(f"events were {jump:.0f} s off")
        await asyncio.sleep(dice.uniform(0.0, 2.0))
        yield
    finally:
        world.set_clock(0)


FAULTS = [Fault("clock-jump", jumped)]
