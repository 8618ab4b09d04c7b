"""Run the load, sample, judge and draw; exit code 1 where something grew."""

import argparse
import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

import asyncpg
import httpx

import system
from leaks.drawing import draw
from leaks.load import follow, restart, together, work
from leaks.samples import Growth, Sample, growth, taken

_PEOPLE = 4
_EVERY = 5.0
_AWAY = (
    OSError,
    TimeoutError,
    httpx.HTTPError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class Run:
    """Samples of one stack, and when what was killed."""

    def __init__(self, world: system.System) -> None:
        self.samples: list[Sample] = []
        self.restarts: list[tuple[float, str]] = []
        self._world = world
        self._began = monotonic()

    async def run(self, minutes: float) -> None:
        """Load, break and sample for so long."""
        people = [each(self._world) for each in (work, follow) for _ in range(_PEOPLE)]
        await together(*people, restart(self._world, self._killed), self._sample(), seconds=minutes * 60)

    @property
    def minute(self) -> float:
        """Minutes since the beginning."""
        return (monotonic() - self._began) / 60

    def _killed(self, part: str) -> None:
        self.restarts.append((self.minute, part))
        sys.stderr.write(f"{self.minute:5.1f} min: {part} killed\n")

    async def _sample(self) -> None:
        while True:
            # What was killed is not back yet.
            with suppress(*_AWAY):
                self.samples += await taken(self._world, self.minute)
            await asyncio.sleep(_EVERY)


def _table(found: list[Growth], run: Run) -> str:
    lines = [f"{len(run.samples):,} samples, {len(run.restarts)} restarts of NATS and PostgreSQL", ""]
    lines += ["| service | held | middle third | last third | |", "|---|---|---|---|---|"]
    lines += [
        f"| {each.service} | {each.held} | {each.before:.1f} | {each.after:.1f} | {'grows' if each.grows else 'flat'} |"
        for each in found
    ]
    return "\n".join(lines)


def main() -> int:
    """Print a table of what was held; 1 where something grows."""
    parser = argparse.ArgumentParser(prog="leaks", description="Load with restarts; nothing that is held may grow")
    parser.add_argument("--minutes", type=float, default=30, help="for how long (30)")
    parser.add_argument("--out", type=Path, default=Path("var/leaks.svg"), help="the picture (var/leaks.svg)")
    options = parser.parse_args()
    with system.system() as world:
        run = Run(world)
        asyncio.run(run.run(options.minutes))
    found = growth(run.samples, options.minutes)
    sys.stdout.write(_table(found, run) + "\n")
    draw(run.samples, run.restarts, options.out)
    return 1 if any(each.grows for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
