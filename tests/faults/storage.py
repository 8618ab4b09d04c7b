"""A disk that is full, and a power cut: on file systems of our own."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random

from events.catalog.feeds import FEEDS
from faults.facts import AWAY
from faults.fault import BROKER_BACK, Effect, Fault
from faults.waiting import TooLate, until
from faults.world import World

_PUBLISHES_WITHIN = 3.0


@asynccontextmanager
async def full(world: World, dice: Random, effect: Effect, *, part: str) -> AsyncIterator[None]:
    """There is no room for a while. A NATS that gave its store up meanwhile is started anew, as an operator would."""
    disk, log = world.disks[part], world.stack.layout.logs / f"{part}.log"
    before, said = world.pid(part), log.stat().st_size
    taken = disk.fill()
    try:
        await asyncio.sleep(dice.uniform(1.0, 3.0))
        yield
        complaints = log.read_bytes()[said:].lower().count(b"no space left")
        if complaints:
            effect.see(f"{taken >> 20} MB were taken, {part} complained {complaints} times")
    finally:
        disk.free_up()
    if part == "postgres":
        await world.back("postgres", after=0)
    elif not await _publishes(world):
        effect.journal.note("nats is started anew by hand")
        world.signal("nats", signal.SIGKILL)
        await world.back("nats", after=before)


async def _publishes(world: World) -> bool:
    """Whether streams come to where their logs are, by themselves."""
    wanted = await world.value("todos", "select last_seq from events.feed where name = 'TODOS'")

    async def look() -> bool:
        try:
            async with world.jetstream() as js:
                return bool((await js.stream_info("TODOS")).state.last_seq >= wanted)
        except AWAY:
            return False

    try:
        return await until(look, "the stream goes on", within=_PUBLISHES_WITHIN, every=0.1)
    except TooLate:
        return False


@asynccontextmanager
async def power_cut(world: World, dice: Random, effect: Effect, *, parts: tuple[str, ...]) -> AsyncIterator[None]:
    """At one moment nothing reaches a disk any more, and its server is gone; what was not flushed is lost."""
    for part in parts:
        world.disks[part].mark("flushed", synced=True)
    await asyncio.sleep(dice.uniform(0.0, 1.0))
    before = {part: world.pid(part) for part in parts}
    with world.unsupervised():
        _cut(world, parts)
        for part in parts:
            await world.gone(part)
            await _power_back(world, part)
        yield
    for part in parts:
        await world.back(part, after=before[part])
        disk = world.disks[part]
        if disk.has("flushed") and not disk.has("unflushed"):
            effect.see(f"{part}: what was flushed is there, what was not is gone")
    if "nats" in parts:
        await _streams_again(world, effect)


def _cut(world: World, parts: tuple[str, ...]) -> None:
    """Stopped first, so that none sees the others' disks gone: a power cut leaves nobody the time."""
    for part in parts:
        world.signal(part, signal.SIGSTOP)
    for part in parts:
        world.disks[part].mark("unflushed", synced=False)
        world.disks[part].cut()
    for part in parts:
        world.signal(part, signal.SIGKILL)


async def _power_back(world: World, part: str) -> None:
    """Mount again, once nobody holds the folder."""

    async def look() -> bool:
        try:
            world.disks[part].restore_power()
        except OSError:
            return False
        return True

    await until(look, f"the disk of {part} is there again", within=10)


async def _streams_again(world: World, effect: Effect) -> None:
    """An operator's look: a stream that did not outlive the cut is made anew."""
    async with world.jetstream() as js:
        there = {info.config.name for info in await js.streams_info()}
    for service in sorted({feed.service for feed in FEEDS.values() if feed.name not in there}):
        effect.journal.note("streams are made anew by hand", service=service)
        await world.apply_streams(service)


FAULTS = [
    Fault("disk-full-nats", partial(full, part="nats"), mounts=True, whole=True, long=True),
    Fault("disk-full-postgres", partial(full, part="postgres"), mounts=True, long=True),
    Fault("power-cut-nats", partial(power_cut, parts=("nats",)), goal=BROKER_BACK, mounts=True, whole=True),
    Fault("power-cut-postgres", partial(power_cut, parts=("postgres",)), mounts=True),
    Fault("power-cut-both", partial(power_cut, parts=("nats", "postgres")), mounts=True, whole=True),
]
