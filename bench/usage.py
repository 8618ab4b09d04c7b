"""What processes take of a machine: memory by their share of what they share, seconds of its cores."""

from collections.abc import Iterable

import psutil

from bench.held import tree


def started_as(*modules: str) -> list[psutil.Process]:
    """The processes that this one started as `python -m MODULE`."""
    return [child for child in psutil.Process().children() if _module(child.cmdline()) in modules]


def _module(line: list[str]) -> str:
    return line[line.index("-m") + 1] if "-m" in line else ""


def memory(processes: Iterable[psutil.Process]) -> int:
    """Proportional memory (PSS) of processes and what they started, together, in bytes."""
    return sum(process.memory_full_info().pss for process in _families(processes))


def seconds(processes: Iterable[psutil.Process]) -> float:
    """Seconds of a core that processes and what they started took since they began."""
    times = [process.cpu_times() for process in _families(processes)]
    return float(sum(time.user + time.system for time in times))


def _families(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    return [each for process in processes for each in tree(process.pid)]
