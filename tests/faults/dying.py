"""kill -9 of each process; its supervisor starts it again."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random

from faults.fault import BROKER_BACK, Effect, Fault
from faults.world import World
from local.layout import SERVICES

_AWAY = (0.0, 1.5)


@asynccontextmanager
async def killed(world: World, dice: Random, effect: Effect, *, part: str) -> AsyncIterator[None]:
    """A part dies with all its processes, and is away for a while."""
    before = world.pid(part)
    with world.unsupervised():
        world.signal(part, signal.SIGKILL)
        await world.gone(part)
        if part == "mailer":
            await leases_end(world)
        await asyncio.sleep(dice.uniform(*_AWAY))
        yield
    await world.back(part, after=before)
    effect.see(f"{part}: process {before} was killed, {world.pid(part)} came")


async def leases_end(world: World) -> None:
    """No mailer lives: what it had taken is free at once, and not after the minute that its leases have left."""
    await world.rows("mailer", "update letter set lease_until = clock_timestamp() where lease_until is not null")


FAULTS = [
    Fault(f"kill-{part}", partial(killed, part=part), goal=BROKER_BACK if part == "nats" else None)
    for part in (*SERVICES, "gateway", "nats", "postgres")
]
