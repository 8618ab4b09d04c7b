"""What JetStream keeps is taken away: a stream, consumers, the newer part of its store."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from events.catalog.feeds import FEEDS
from faults.fault import BROKER_BACK, Effect, Fault
from faults.waiting import until
from faults.world import World

_BUSY = ("OTP", "AUTH", "TODOS", "MAILER")


@asynccontextmanager
async def deleted(world: World, dice: Random, effect: Effect) -> AsyncIterator[None]:
    """A stream is deleted; after a while an operator makes it anew, and its relay fills it."""
    feed = FEEDS[dice.choice(_BUSY)]
    async with world.jetstream() as js:
        last = (await js.stream_info(feed.name)).state.last_seq
        await js.delete_stream(feed.name)
        names = [info.config.name for info in await js.streams_info()]
    if feed.name not in names:
        effect.see(f"stream {feed.name} at {last} was deleted")

    async def told() -> bool:
        return (await world.readiness(feed.service))[f"relay {feed.name}"] == "failed"

    await until(told, f"the relay of {feed.name} says so", within=20)
    await asyncio.sleep(dice.uniform(0.0, 1.0))
    yield
    await world.apply_streams(feed.service)


@asynccontextmanager
async def consumers_deleted(world: World, dice: Random, effect: Effect) -> AsyncIterator[None]:
    """Every consumer that the server keeps is deleted."""
    gone = 0
    async with world.jetstream() as js:
        for feed in FEEDS:
            for consumer in await js.consumers_info(feed):
                gone += await js.delete_consumer(feed, consumer.name)
    if gone:
        effect.see(f"{gone} consumers were deleted")
    await asyncio.sleep(dice.uniform(0.0, 1.0))
    yield


@asynccontextmanager
async def restored(world: World, dice: Random, effect: Effect) -> AsyncIterator[None]:
    """NATS dies and comes back with a copy of its store from some time before."""
    store = Path(world.stack.details["data"]) / "nats" / "store"
    copy = world.folder / "copy"
    then = await _last(world)
    world.signal("nats", signal.SIGSTOP)
    try:
        shutil.copytree(store, copy)
    finally:
        world.signal("nats", signal.SIGCONT)
    await asyncio.sleep(dice.uniform(1.0, 3.0))
    now, before = await _last(world), world.pid("nats")
    with world.unsupervised():
        world.signal("nats", signal.SIGKILL)
        await world.gone("nats")
        shutil.rmtree(store)
        shutil.move(copy, store)
        yield
    await world.back("nats", after=before)
    if now > then:
        effect.see(f"stream TODOS came to {now}; the store went back to where it was at {then}")


async def _last(world: World) -> int:
    async with world.jetstream() as js:
        return int((await js.stream_info("TODOS")).state.last_seq)


FAULTS = [
    Fault("stream-deleted", deleted, whole=True),
    Fault("consumers-deleted", consumers_deleted),
    Fault("older-store", restored, goal=BROKER_BACK, whole=True),
]
