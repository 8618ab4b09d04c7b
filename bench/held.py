"""What processes hold and use: proportional memory, and CPU seconds."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import psutil
from msgspec import Struct

_MIB = 1 << 20


class Held(Struct, frozen=True):
    """Processes of one part: how many there are, MiB of proportional memory (PSS), CPU seconds since they began."""

    count: int
    memory: float
    cpu: float


def held(processes: Iterable[psutil.Process]) -> Held:
    """What these hold together; what ended children of the first used counts with it."""
    count, memory, cpu = 0, 0.0, 0.0
    for nr, process in enumerate(processes):
        with suppress(psutil.NoSuchProcess):
            memory += process.memory_full_info().pss / _MIB
            times = process.cpu_times()
            cpu += times.user + times.system + (0.0 if nr else times.children_user + times.children_system)
            count += 1
    return Held(count, memory, cpu)


def tree(pid: int) -> Sequence[psutil.Process]:
    """A process and all that came of it."""
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]


def total(parts: Mapping[str, Held]) -> Held:
    """All parts as one."""
    found = parts.values()
    return Held(sum(part.count for part in found), sum(part.memory for part in found), sum(part.cpu for part in found))
