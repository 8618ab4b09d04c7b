"""How fast events flow through a worker, and what of the processors that takes, each process told apart."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Final

import psutil
from msgspec import Struct

from bench.counts import Unsound

_LOOK: Final = 0.01
_WITHIN: Final = 300.0
_PER: Final = 100_000


class Flow(Struct, frozen=True, kw_only=True):
    """So many events in so many seconds; `cpu`: the seconds of the processors that each process took meanwhile."""

    events: int
    seconds: float
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds

    def per_100_000(self, name: str) -> float:
        """What a process took for so many events, in seconds of a processor."""
        return self.cpu[name] * _PER / self.events


Look = Callable[[], Awaitable[int]]
"""How many events are through by now."""


async def flow(look: Look, upto: int, processes: Mapping[str, psutil.Process]) -> Flow:
    """From the first look that finds any until `upto` are through: starting up is no part of it. Raises `Unsound`."""
    try:
        async with asyncio.timeout(_WITHIN):
            first = await _until(look, 1)
            started, before = perf_counter(), _cpu(processes)
            last = await _until(look, upto)
            seconds, after = perf_counter() - started, _cpu(processes)
    except TimeoutError:
        raise Unsound(f"{upto:,} events were not through after {_WITHIN:.0f} s") from None
    cpu = {name: after[name] - before[name] for name in after}
    return Flow(events=last - first, seconds=seconds, cpu=cpu)


async def _until(look: Look, count: int) -> int:
    while (found := await look()) < count:  # noqa: ASYNC110 - only a look can tell
        await asyncio.sleep(_LOOK)
    return found


def _cpu(processes: Mapping[str, psutil.Process]) -> dict[str, float]:
    return {name: _seconds(process) for name, process in processes.items()}


def _seconds(process: psutil.Process) -> float:
    """Of a process and all its children, also those that ended."""
    total = sum(process.cpu_times()[:4])
    for child in process.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:4])
        except psutil.NoSuchProcess:  # from here on its parent's
            continue
    return float(total)
