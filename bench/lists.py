"""How lists grow: each listing at ten thousand to-dos and at a million, in turn, as a client asks for it over HTTP."""

import argparse
import asyncio
import random
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from time import perf_counter
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from bench.figures import percentile
from bench.requests import Connection, get
from bench.stack import Stack, running

SIZES: Final = {"small": (10_000, 100), "large": (1_000_000, 10_000)}
"""To-dos and people; the first person has a tenth of all."""
_FILL: Final = (Path(__file__).parent / "sql" / "fill_todos.sql").read_text()
_FIRST_PORT: Final = 11  # after the echo's
_NOW: Final = datetime.now(UTC)
_SOON: Final = _NOW + timedelta(hours=100)

LISTINGS: Final[dict[str, dict[str, str]]] = {
    "newest": {},
    "open": {"completed": "false"},
    "priority 1": {"priority": "1"},
    "due in a range": {"due_after": _NOW.isoformat(), "due_before": _SOON.isoformat()},
    "overdue": {"overdue": "true"},
    "soonest due": {"sort": "due"},
    "most urgent": {"sort": "priority"},
    "overdue, most urgent": {"overdue": "true", "sort": "priority"},
    "search 저지방": {"q": "저지방"},
    "search, two letters": {"q": "유 "},
    "search, rare": {"q": "c4ca42"},
    "search, by deadline": {"q": "milk", "sort": "due"},
    "deleted": {"deleted": "true"},
    "open, counted": {"completed": "false", "count": "true"},
}


def person(number: int) -> UUID:
    """The id of a person of `fill_todos.sql`; number 0 has a tenth of all to-dos."""
    return UUID(md5(f"person {number}".encode(), usedforsecurity=False).hexdigest())


def main() -> None:
    """Print p50 and p99 of each listing at both sizes, for random people and for the one who has a tenth of all."""
    parser = argparse.ArgumentParser(prog="bench.lists", description="Measure lists at 10,000 and 1,000,000 to-dos")
    parser.add_argument("--calls", type=int, default=300, help="calls of each listing at each size (300)")
    options = parser.parse_args()
    with running() as stack, ExitStack() as services:
        urls = {}
        for place, size in enumerate(SIZES, _FIRST_PORT):
            database = f"todos_{size}"
            stack.add_database(database)
            asyncio.run(_fill(stack, database, *SIZES[size]))
            urls[size] = services.enter_context(stack.beside("todos", database, place))
        asyncio.run(_measure(stack, urls, options.calls))


async def _measure(stack: Stack, urls: dict[str, str], calls: int) -> None:
    connections = {size: await Connection.open(url) for size, url in urls.items()}
    times: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for _ in range(calls):
        for who, highest in (("anybody", None), ("who has a tenth", 0)):
            for name, query in LISTINGS.items():
                for size, connection in connections.items():
                    number = random.randrange(1, SIZES[size][1]) if highest is None else highest
                    target = f"/todos?{urlencode(query)}"
                    request = get(urls[size], target, stack.token(person(number)))
                    started = perf_counter()
                    head, body = await connection.call(request)
                    times[who, name, size].append(perf_counter() - started)
                    if b" 200 " not in head.partition(b"\r\n")[0]:
                        raise RuntimeError(f"{name} was answered {head!r} {body!r}")
    _tell(times)
    for connection in connections.values():
        connection.close()


def _tell(times: dict[tuple[str, str, str], list[float]]) -> None:
    print("| listing | whose | 10,000: p50 / p99 ms | 1,000,000: p50 / p99 ms | p99 ratio |\n|---|---|---|---|---|")
    for who, name in dict.fromkeys((who, name) for who, name, _ in times):
        small, large = (times[who, name, size] for size in SIZES)
        ratio = percentile(large, 99) / percentile(small, 99)
        cells = [f"{percentile(each, 50):.1f} / {percentile(each, 99):.1f}" for each in (small, large)]
        print(f"| {name} | {who} | {cells[0]} | {cells[1]} | {ratio:.1f} |")


async def _fill(stack: Stack, database: str, todos: int, people: int) -> None:
    connection = await stack.connect_alone(database)
    await connection.execute("set statement_timeout = 0; set transaction_timeout = 0")
    await connection.execute(_FILL, todos, people, timeout=600)
    await connection.execute("vacuum analyze todo", timeout=600)
    await connection.close()


if __name__ == "__main__":
    main()
