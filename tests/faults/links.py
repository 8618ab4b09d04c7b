"""The network between the services and what they lean on, and between people and the gateway: cut, or slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random

from faults.dying import killed
from faults.fault import HANG_ENDED, Effect, Fault
from faults.waiting import until
from faults.world import World
from local.layout import SERVICES

_CUT = {"nats": (1.0, 9.0), "postgres": (0.2, 4.0), "gateway": (0.2, 4.0)}


@asynccontextmanager
async def cut(world: World, dice: Random, effect: Effect, *, part: str) -> AsyncIterator[None]:
    """A link becomes slow, then no byte passes for a while, or no answer; then all go on, or are reset."""
    wires, word = world.wires, dice.choice(("cut", "mute"))
    assert wires is not None
    wires.tell(part, "slow", 0.05)  # so that more is under way when it is cut
    await asyncio.sleep(dice.uniform(0.3, 1.0))
    before = wires.tell(part, word)["touched"]
    try:

        async def held() -> bool:
            return wires.tell(part, word)["touched"] > before

        await until(held, f"bytes for {part} are held", within=15)
        await asyncio.sleep(dice.uniform(*_CUT[part]))
        yield
        count = wires.tell(part, word)["touched"] - before
        ends = dice.choice(("went on", "were reset"))
        held_back = "answers of" if word == "mute" else "bytes for"
        effect.see(f"{count} times {held_back} {part} were held, then the connections {ends}")
        if ends == "were reset":
            wires.tell(part, "reset")
    finally:
        wires.tell(part, "open")


@asynccontextmanager
async def slow(world: World, dice: Random, effect: Effect, *, part: str) -> AsyncIterator[None]:
    """Every chunk of bytes comes late, either way."""
    wires, seconds = world.wires, dice.uniform(0.02, 0.2)
    assert wires is not None
    before = wires.tell(part, "slow", seconds)["touched"]
    try:
        await asyncio.sleep(dice.uniform(1.0, 4.0))
        yield
        if count := wires.tell(part, "slow", seconds)["touched"] - before:
            effect.see(f"{count} times bytes for {part} came {seconds:.2f} s late")
    finally:
        wires.tell(part, "open")


@asynccontextmanager
async def killed_on_a_slow_link(world: World, dice: Random, effect: Effect) -> AsyncIterator[None]:
    """PostgreSQL is slow to answer, and one of the services dies meanwhile: in the middle of whatever it does."""
    part = dice.choice(list(SERVICES))
    async with slow(world, dice, effect, part="postgres"), killed(world, dice, effect, part=part):
        yield


FAULTS = [
    Fault("kill-on-slow-link", killed_on_a_slow_link, wired=True),
    *(
        Fault(f"{name}-{part}", partial(act, part=part), goal=goal, wired=True)
        for name, act, goal in (("cut-link", cut, HANG_ENDED), ("slow-link", slow, None))
        for part in ("nats", "postgres", "gateway")
    ),
]
