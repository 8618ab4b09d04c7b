"""A peer of `append`: the library `eventsourcing` with its recorder for PostgreSQL, in an environment of its own.

`python eventsourced.py WRITERS SECONDS` makes to-dos from so many threads, each saved before the next, and prints how
many were saved in how many seconds, and percentiles in milliseconds. The library's own variables name the database.
"""

import json
import sys
import threading
from time import perf_counter
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Todo(Aggregate):
    """A to-do with what ours says when it is made."""

    @event("Created")
    def __init__(self, person: str, title: str, description: str | None, priority: int) -> None:
        self.person = person
        self.title = title
        self.description = description
        self.priority = priority
        self.completed = False


class Todos(Application[Any]):
    """Saves to-dos."""

    def create(self) -> None:
        """Make one; durable when this returns."""
        self.save(Todo("00000000-0000-0000-0000-000000000001", "우유 사기", None, 2))


def main() -> None:
    """Warm up, measure, print."""
    writers, seconds = int(sys.argv[1]), float(sys.argv[2])
    todos = Todos()
    _write(todos, writers, seconds / 10)
    started = perf_counter()
    latencies = sorted(_write(todos, writers, seconds))
    took = perf_counter() - started
    p50, p99 = (latencies[-(-len(latencies) * per_cent // 100) - 1] * 1000 for per_cent in (50, 99))
    print(json.dumps({"answered": len(latencies), "seconds": took, "p50": p50, "p99": p99}))


def _write(todos: Todos, writers: int, seconds: float) -> list[float]:
    """What each call took."""
    latencies: list[float] = []
    until = perf_counter() + seconds

    def write() -> None:
        while (sent := perf_counter()) < until:
            todos.create()
            latencies.append(perf_counter() - sent)

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies


if __name__ == "__main__":
    main()
