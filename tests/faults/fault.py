"""What a fault is: how it is done, that it took effect, how it ends."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from faults.journal import Journal
from faults.world import World

BROKER_BACK: float = 5.0
HANG_ENDED: float = 10.0
"""Seconds in which delivery is promised to go on after a broker is back, and after a hang ended."""


@dataclass
class Effect:
    """What was seen of a fault: a run in which nothing was seen proves nothing."""

    journal: Journal
    seen: list[str] = field(default_factory=list)

    def see(self, what: str) -> None:
        """Keep what proves that the fault took effect."""
        self.seen.append(what)
        self.journal.note("effect", seen=what)


Act: TypeAlias = Callable[[World, Random, Effect], AbstractAsyncContextManager[None]]
"""Entered it breaks something; people work in its body; left it is mended, and what was broken is there again."""


@dataclass(frozen=True)
class Fault:
    """`goal`: the seconds promised from its end to the first write that is seen elsewhere; None where none are.

    `wired`: needs wires between services and backing; `mounts`: needs file systems of our own; `history`: needs this
    repository's; `long`: people write long texts; `whole`: streams are compared from their beginning afterwards.
    """

    name: str
    act: Act
    goal: float | None = None
    wired: bool = False
    mounts: bool = False
    history: bool = False
    long: bool = False
    whole: bool = False
