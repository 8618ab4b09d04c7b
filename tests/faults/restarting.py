"""Every service is stopped as a deployment does, one after the other, and comes again."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from faults.fault import Effect, Fault
from faults.world import World
from local.layout import SERVICES


@asynccontextmanager
async def rolling(world: World, dice: Random, effect: Effect) -> AsyncIterator[None]:
    """SIGTERM, wait until it is back and well, then the next."""
    order = list(SERVICES)
    dice.shuffle(order)
    for service in order:
        before = world.pid(service)
        world.signal(service, signal.SIGTERM)
        await world.back(service, after=before)
        await world.ready(service)
        effect.see(f"{service}: process {before} left, {world.pid(service)} came")
    yield


FAULTS = [Fault("rolling-restart", rolling)]
