"""What processes hold, over time, and whether it grows."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, TypeAlias

import httpx
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from local.layout import SERVICES
from system import System


class Held(Struct, frozen=True):
    """What is measured: how it is called, in which unit, and by how much it may differ without growing."""

    name: str
    share: float
    least: float


MEMORY: Final = Held("memory, MiB", 0.03, 2)
FILES: Final = Held("open files", 0.05, 3)
TASKS: Final = Held("tasks", 0.05, 4)
CONNECTIONS: Final = Held("database connections", 0.1, 3)
HELD: Final = (MEMORY, FILES, TASKS, CONNECTIONS)

_METRICS: Final = {
    "process_resident_memory_bytes": (MEMORY, 1 << 20),
    "process_open_fds": (FILES, 1),
    "todo_tasks": (TASKS, 1),
}
_CONNECTIONS: Final = "select usename, count(*) from pg_stat_activity where usename = any($1) group by usename"


class Sample(Struct, frozen=True):
    """At `minute`, `service` held so much of `held`."""

    minute: float
    service: str
    held: str
    value: float


class Growth(Struct, frozen=True):
    """Medians of the middle and of the last third of the time; `grows` where the last is more than may be."""

    service: str
    held: str
    before: float
    after: float
    grows: bool


Series: TypeAlias = Mapping[tuple[str, str], Sequence[Sample]]


async def taken(world: System, minute: float) -> list[Sample]:
    """What every service holds now; raises OSError or an error of httpx or asyncpg while something is away."""
    samples: list[Sample] = []
    async with httpx.AsyncClient(timeout=5) as http:
        for service in SERVICES:
            told = (await http.get(f"{world.url(service)}/metrics")).raise_for_status().text
            for family in text_string_to_metric_families(told):
                if family.name in _METRICS:
                    held, unit = _METRICS[family.name]
                    samples.append(Sample(minute, service, held.name, family.samples[0].value / unit))
    connections = await world.rows("todos", _CONNECTIONS, list(SERVICES))
    return samples + [Sample(minute, row["usename"], CONNECTIONS.name, row["count"]) for row in connections]


def growth(samples: Sequence[Sample], minutes: float) -> list[Growth]:
    """What became of each series; the first third is warming up."""
    found = []
    for service in SERVICES:
        for held in HELD:
            of = [each for each in samples if (each.service, each.held) == (service, held.name)]
            middle = [each.value for each in of if minutes / 3 <= each.minute < minutes * 2 / 3]
            last = [each.value for each in of if each.minute >= minutes * 2 / 3]
            before, after = median(middle), median(last)
            grows = after > before + max(held.least, held.share * before)
            found.append(Growth(service, held.name, before, after, grows))
    return found
