"""`just rollout`: from an earlier version to this one and back, service by service, while people work.

People use a stack of the earlier version, with its tables. Then, as the chart does: migrations and streams of all
services; then each service in turn, the new process beside the old one and well before that leaves. Then the same back,
over the new tables. No request may fail, and everything is reconciled as after a fault.
"""

import argparse
import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

from faults.facts import converged
from faults.journal import Journal
from faults.load import Load, at_work
from faults.reconcile import Findings, Reconciler
from faults.versions import EARLIER, may_unpack, sources, started, unpacked
from faults.waiting import TooLate, until
from faults.world import World
from local.child import Child
from local.layout import REPOSITORY, SERVICES, Layout
from local.stack import Stack

_FAILED: Final = ("no answer", "unknown", "later", "given up", "refused", "no code")
_MORE: Final = 20
"""How many writes come before and after each direction: both versions have people at work."""
_KEPT: Final = REPOSITORY / "var" / "rollout"
_BESIDE: Final = 6
"""The port of a process beside a service's own, counted from that."""
_ASKED: Final = re.compile(r"reverse_proxy 127\.0\.0\.1:(\d+) {")


class Rollout(World):
    """A world whose stack was started by the earlier version, which knows this one's tables not yet."""

    def __init__(self) -> None:
        super().__init__()
        self.earlier = unpacked(self.folder / "earlier")
        self.stack = Stack(Layout(self.base, self.earlier / "var" / str(self.base)))
        self.environment = {"PYTHONPATH": sources(self.earlier)}
        self._serving: dict[str, Child] = {}

    def start(self) -> None:
        """Start it, and have its gateway ask, as Kubernetes would, whichever of a service's two processes is there."""
        super().start()
        configuration = self.stack.layout.folder / "Caddyfile"
        configuration.write_text(_ASKED.sub(_either, configuration.read_text()))
        before = self.pid("gateway")
        self.signal("gateway", signal.SIGTERM)
        asyncio.run(self.back("gateway", after=before))

    async def roll(self, tree: Path) -> None:
        """Every service in turn: one of the version in `tree` beside it, then in its place."""
        for service in SERVICES:
            beside = await started(self, tree, service, self.stack.layout.service_port(service) + _BESIDE)
            try:
                await self._leave(service)
                self._serving[service] = await started(self, tree, service, self.stack.layout.service_port(service))
            finally:
                await asyncio.to_thread(beside.stop, within=10)

    async def leave(self) -> None:
        """Everything that was started here stops."""
        for service in [*self._serving]:
            await self._leave(service)

    async def _leave(self, service: str) -> None:
        if child := self._serving.pop(service, None):
            await asyncio.to_thread(child.stop, within=10)
        else:
            self.signal(service, signal.SIGTERM)
            await self.gone(service)


def _either(found: re.Match[str]) -> str:
    both = " ".join(f"127.0.0.1:{port}" for port in (int(found[1]), int(found[1]) + _BESIDE))
    return f"reverse_proxy {both} {{\n\t\t\tlb_policy first\n\t\t\tfail_duration 300ms"


def main() -> int:
    """Run as often as asked; 1 where a request failed or something was lost or doubled."""
    parser = argparse.ArgumentParser(prog="just rollout", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="how many times up and down")
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    given = parser.parse_args()
    if why := may_unpack():
        print(f"skipped: {why}")
        return 0
    wrong = 0
    for seed in range(given.seed, given.seed + given.runs):
        world = Rollout()
        try:
            world.start()
            wrong += asyncio.run(_run(world, seed))
        except TooLate as error:
            print(f"seed {seed}: {error}", flush=True)
            world.keep_logs(_KEPT / f"late-{seed}")
            wrong += 1
        finally:
            world.stop()
    return min(wrong, 1)


async def _run(world: Rollout, seed: int) -> int:
    """Up and down once; how much was not as promised."""
    wrong, dice = 0, Random(seed)
    reconciler = Reconciler(world)
    async with world.open(), _unsupervised(world):
        for direction, tree in (("upgrade", REPOSITORY), ("downgrade", world.earlier)):
            journal, begun = Journal(), monotonic()
            async with at_work(world, journal, dice, long=False) as load:
                await _writes(load, _MORE)
                if direction == "upgrade":
                    await asyncio.gather(*(world.migrate(service) for service in SERVICES))
                    await _writes(load, _MORE)
                await world.roll(tree)
                await _writes(load, _MORE)
            found = await _reconciled(world, reconciler, load)
            failed = journal.count(*_FAILED)
            print(
                f"{direction:<10} seed {seed}: {load.acknowledged} writes and {len(load.codes)} codes in "
                f"{monotonic() - begun:.0f} s, failed {failed}, lost {found.lost}, duplicated {found.duplicated}, "
                f"reordered {found.reordered}: {'; '.join(found.troubles) or 'ok'}",
                flush=True,
            )
            if failed or found.troubles:
                wrong += 1
                journal.write(_KEPT / f"{direction}-{seed}.jsonl")
                world.keep_logs(_KEPT / f"{direction}-{seed}")
    return wrong


@asynccontextmanager
async def _unsupervised(world: Rollout) -> AsyncIterator[None]:
    """Who comes and goes is decided here; at the end nothing of it is left."""
    with world.unsupervised():
        try:
            yield
        finally:
            await world.leave()


async def _writes(load: Load, count: int) -> None:
    upto = load.acknowledged + count

    async def look() -> bool:
        return load.acknowledged >= upto

    await until(look, "people write", within=30)


async def _reconciled(world: Rollout, reconciler: Reconciler, load: Load) -> Findings:
    upto = await converged(world)
    found = await reconciler.look(upto, load.people, load.codes, whole=True)
    for each in load.people:
        found.troubles += each.wrong
    return found


if __name__ == "__main__":
    print(f"from {EARLIER[:7]} to this version, and back", flush=True)
    sys.exit(main())
