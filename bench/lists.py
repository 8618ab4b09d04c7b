"""How lists grow: each listing at ten thousand to-dos and at a million, in turn, as the service asks for them."""

import argparse
import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from uuid import UUID

import asyncpg

from bench.figures import percentile
from events.postgres import open_pool
from local.postgres import Postgres, temporary
from local.prepare import migrate_database
from todos.tables import Created, Due, Filters, Ranked, count_todos, list_deleted, list_todos

SIZES: Final = {"small": (10_000, 100), "large": (1_000_000, 10_000)}
"""To-dos and people; the first person has a tenth of all."""
_FILL: Final = (Path(__file__).parent / "sql" / "fill_todos.sql").read_text()
_NOW: Final = datetime.now(UTC)
_DUE: Final = Filters(due_from=_NOW, due_before=_NOW + timedelta(hours=100))

Listing = Callable[[asyncpg.Pool, UUID], Awaitable[Any]]


def _list(filters: Filters, after: Created | Due | Ranked) -> Listing:
    return lambda pool, person: list_todos(pool, person, filters, after, 21)


LISTINGS: Final[dict[str, Listing]] = {
    "newest": _list(Filters(), Created()),
    "open": _list(Filters(completed=False), Created()),
    "priority 1": _list(Filters(priority=1), Created()),
    "due in a range": _list(_DUE, Created()),
    "overdue": _list(Filters(completed=False, due_before=_NOW), Created()),
    "soonest due": _list(Filters(), Due()),
    "most urgent": _list(Filters(), Ranked()),
    "overdue, most urgent": _list(Filters(completed=False, due_before=_NOW), Ranked()),
    "search 저지방": _list(Filters(pattern="%저지방%"), Created()),
    "search, two letters": _list(Filters(pattern="%유 %"), Created()),
    "search, rare": _list(Filters(pattern="%c4ca42%"), Created()),
    "search, by deadline": _list(Filters(pattern="%milk%"), Due()),
    "deleted": lambda pool, person: list_deleted(pool, person, Created(), 21),
    "count of open": lambda pool, person: count_todos(pool, person, Filters(completed=False)),
}


def person(number: int) -> UUID:
    """The id of a person of `fill_todos.sql`; number 0 has a tenth of all to-dos."""
    return UUID(md5(f"person {number}".encode(), usedforsecurity=False).hexdigest())


def main() -> None:
    """Print p50 and p99 of each listing at both sizes, for random people and for the one who has a tenth of all."""
    parser = argparse.ArgumentParser(prog="bench.lists", description="Measure lists at 10,000 and 1,000,000 to-dos")
    parser.add_argument("--calls", type=int, default=300, help="calls of each listing at each size (300)")
    options = parser.parse_args()
    with temporary("lists") as postgres:
        asyncio.run(_measure(postgres, options.calls))


async def _measure(postgres: Postgres, calls: int) -> None:
    pools = {size: await _filled(postgres, size) for size in SIZES}
    times: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for _ in range(calls):
        for who, highest in (("anybody", None), ("who has a tenth", 0)):
            for name, listing in LISTINGS.items():
                for size, pool in pools.items():
                    number = random.randrange(1, SIZES[size][1]) if highest is None else highest
                    started = perf_counter()
                    await listing(pool, person(number))
                    times[who, name, size].append(perf_counter() - started)
    print("| listing | whose | 10,000: p50 / p99 ms | 1,000,000: p50 / p99 ms | p99 ratio |\n|---|---|---|---|---|")
    for who, name in dict.fromkeys((who, name) for who, name, _ in times):
        small, large = (times[who, name, size] for size in SIZES)
        ratio = percentile(large, 99) / percentile(small, 99)
        cells = [f"{percentile(each, 50):.1f} / {percentile(each, 99):.1f}" for each in (small, large)]
        print(f"| {name} | {who} | {cells[0]} | {cells[1]} | {ratio:.1f} |")
    for pool in pools.values():
        await pool.close()


async def _filled(postgres: Postgres, size: str) -> asyncpg.Pool:
    name = f"todos_{size}"
    postgres.create_database(name, service="todos")
    owner_url = postgres.url(name, "todos_owner")
    await migrate_database("todos", owner_url)
    connection = await asyncpg.connect(owner_url)
    await connection.execute("set statement_timeout = 0; set transaction_timeout = 0")
    await connection.execute(_FILL, *SIZES[size], timeout=600)
    await connection.execute("vacuum analyze todo", timeout=600)
    await connection.close()
    return await open_pool(postgres.url(name, "todos"), application="bench", replans=True)


if __name__ == "__main__":
    main()
