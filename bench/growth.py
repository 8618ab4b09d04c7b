"""`just bench-growth`: what a request costs where little is stored, and where much is; what a to-do takes on disk."""

import argparse
import asyncio
import math
import random
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

import uvloop
from msgspec import Struct

from bench import findings
from bench.backends import Server, taken
from bench.counts import SQL, Unsound, assert_durable, rows_of
from bench.cycled import Cycle, cycled, generator, line
from bench.figures import number, spread, table
from bench.findings import Findings
from bench.lists import person
from bench.machine import facts
from bench.posts import BODY
from bench.stack import Stack, running
from events.ids import uuid7
from local.child import StartError
from local.console import say

CREATORS: Final = 32
READERS: Final = 1
PER_PERSON: Final = 100
_PEOPLE: Final = 300
_READ: Final = 5_000
"""People and to-dos that are asked for in a run, others in each."""
_FIRST_PORT: Final = 11  # after the echo's
_MOST: Final = 9
_LEAST: Final = 1_000
_PART: Final = 50_000
_BYTES: Final = 2_000
"""What filling needs on disk for each to-do, a fifth of it for a while."""
_SPARE: Final = 4_000_000_000
"""What the write-ahead log and the runs need besides."""
_A_SECOND: Final = 12_000
"""To-dos filled a second on two cores; the more there are, the fewer."""
_WARM_UP: Final = 1.0


class Measured(Struct, frozen=True):
    """A run, and the milliseconds of a processor that its connections to PostgreSQL took for a request."""

    cycle: Cycle
    cost: float


Measures = dict[tuple[str, int], list[Measured]]


class Filled:
    """A database with so many to-dos, each with its event, and a process that answers over it alone."""

    def __init__(self, stack: Stack, size: int) -> None:
        self.size = size
        self.name = f"todos_{size}"
        self.url = ""
        self.bytes: Mapping[str, int] = {}
        self._stack = stack
        self._people = max(2, size // PER_PERSON)

    async def fill(self) -> None:
        """Write rows; raises `Unsound` where to-dos, events and the counter differ afterwards."""
        owner = await self._stack.connect_alone(self.name)
        await owner.execute(
            "set statement_timeout = 0; set transaction_timeout = 0; set maintenance_work_mem = '512MB'"
        )
        search = await owner.fetchval("select indexdef from pg_indexes where indexname = 'todo_search'")
        await owner.execute("drop index todo_search")  # row by row it takes most of the time
        await owner.execute(SQL.fill_todos, self.size, self._people)
        await owner.execute(search)
        last: UUID | None = UUID(int=0)
        while last:
            last = await owner.fetchval(SQL.fill_events, last, _PART)
        await owner.execute("vacuum analyze todo")
        await owner.execute("vacuum analyze events.log")
        await assert_durable(owner)
        if (rows := await rows_of(owner)) != self.size:
            raise Unsound(f"{self.size} to-dos were to be there, {rows} are")
        self.bytes = {row["name"]: row["bytes"] for row in await owner.fetch(SQL.growth_sizes)}
        await owner.close()

    async def stored(self) -> int:
        """How many events there are now, one for each to-do."""
        owner = await self._stack.connect_alone(self.name)
        try:
            return int(await owner.fetchval("select last_seq from events.feed where name = 'TODOS'"))
        finally:
            await owner.close()

    async def creates(self) -> list[str]:
        """Somebody new makes to-dos."""
        return [line("POST", "/todos", self._stack.token(uuid7()), BODY)]

    async def gets(self) -> list[str]:
        """People look at to-dos of theirs, by chance."""
        tokens = self._tokens()
        owner = await self._stack.connect_alone(self.name)
        rows = await owner.fetch(SQL.growth_todos, list(tokens), _READ)
        await owner.close()
        return [line("GET", f"/todos/{row['id']}", tokens[row["user_id"]]) for row in rows]

    async def lists(self) -> list[str]:
        """People look at their newest."""
        return [line("GET", "/todos", token) for token in self._tokens().values()]

    def _tokens(self) -> dict[UUID, str]:
        """Who asks: people with about as many to-dos as everybody, not the one who has a tenth of all."""
        numbers = random.sample(range(1, self._people), min(_PEOPLE, self._people - 1))
        return {person(each): self._stack.token(person(each)) for each in numbers}


class Request(Struct, frozen=True):
    """A request that is compared."""

    name: str
    lines: Callable[[Filled], Awaitable[list[str]]]
    connections: int
    status: int = 200


REQUESTS: Final = (
    Request("create", Filled.creates, CREATORS, 201),
    Request("get one", Filled.gets, READERS),
    Request("list, newest", Filled.lists, READERS),
)


async def _measured(server: Server, filled: Filled, request: Request, seconds: float) -> Measured:
    lines, stored, before = await request.lines(filled), await filled.stored(), server.of("todos", filled.name)
    cycle = await cycled(filled.url, lines, connections=request.connections, seconds=seconds, status=request.status)
    cost = taken(before, server.of("todos", filled.name)) / cycle.answered * 1000
    if cycle.failed:
        raise Unsound(f"{request.name}: {cycle.failed} of {cycle.answered} answers were not {request.status}")
    if request.status == 201 and (grown := await filled.stored() - stored) < cycle.answered:
        raise Unsound(f"{request.name}: {cycle.answered} answers, {grown} events")
    return Measured(cycle, cost)


async def _measure(stack: Stack, sizes: Sequence[Filled], rounds: int, seconds: float) -> Findings:
    owner, server, measures = await stack.connect("todos"), Server(stack.data), Measures()
    machine = await facts(owner, stack.data)
    await owner.close()
    for nr in range(rounds + 1):  # the first is what processes do once
        say(f"bench: round {nr} of {rounds}")
        for request in REQUESTS:
            for filled in sizes[:: 1 if nr % 2 else -1]:
                one = await _measured(server, filled, request, seconds if nr else _WARM_UP)
                if nr:
                    measures.setdefault((request.name, filled.size), []).append(one)
                say(f"bench: {request.name}, {filled.size:,}: {one.cost:.3f} ms, p99 {one.cycle.p99:.1f} ms")
    ends = {filled.size: await filled.stored() for filled in sizes}
    about = f"Rounds: {rounds}, in turn within each; closed loop, load by {generator()}."
    text = "\n\n".join((about, _costs(measures, ends), _disk(sizes)))
    return Findings(text=text, goals=[], machine=machine)


def _costs(measures: Measures, ends: Mapping[int, int]) -> str:
    head = (
        "request", "connections", "to-dos", "at the end", "requests/s", "p50 ms", "p99",
        "PostgreSQL, CPU ms for a request", "times the first's",
    )  # fmt: skip
    rows = []
    for request in REQUESTS:
        first = measures[request.name, next(iter(ends))]
        for size, end in ends.items():
            runs = measures[request.name, size]
            rows.append((request.name, str(request.connections), f"{size:,}", f"{end:,}", *_columns(runs, first)))
    return table(head, rows)


def _columns(runs: Sequence[Measured], first: Sequence[Measured]) -> tuple[str, ...]:
    return (
        spread([run.cycle.rate for run in runs]),
        spread([run.cycle.p50 for run in runs]),
        spread([run.cycle.p99 for run in runs]),
        spread([run.cost for run in runs]),
        spread([run.cost / peer.cost for run, peer in zip(runs, first, strict=True)]),
    )


def _disk(sizes: Sequence[Filled]) -> str:
    """Bytes for each to-do, right after filling."""
    head = ("bytes on disk for a to-do", *(f"{filled.size:,}" for filled in sizes))
    rows = [(name, *(number(filled.bytes[name] / filled.size) for filled in sizes)) for name in sizes[0].bytes]
    return table(head, [*rows, ("all", *(number(sum(filled.bytes.values()) / filled.size) for filled in sizes))])


def _assert_room(folder: Path, sizes: Sequence[int]) -> None:
    """Say what filling takes; raises `StartError` where there is no room for it."""
    todos, free = sum(sizes), shutil.disk_usage(folder).free
    needed, minutes = todos * _BYTES + _SPARE, math.ceil(todos / _A_SECOND / 60)
    say(f"bench: {todos:,} to-dos: about {needed / 1e9:.0f} GB (free: {free / 1e9:.0f}), filled in {minutes} min or so")
    if free < needed:
        raise StartError(f"{needed / 1e9:.0f} GB are needed, {free / 1e9:.0f} GB are free: ask for fewer with --sizes")


def main() -> None:
    """Tell the tables; exit with 1 where there is no room, too."""
    parser = argparse.ArgumentParser(prog="bench.growth", description="Measure how a request's cost grows")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[10_000, 1_000_000], help="to-dos stored (10000 1000000)"
    )
    parser.add_argument("--seconds", type=float, default=3, help="how long each run takes (3)")
    findings.run(parser, partial(_found, parser), rounds=3, sizes=[10_000, 100_000], seconds=1.0)


def _found(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Findings:
    sizes = sorted(set(options.sizes))
    if sizes[0] < _LEAST or len(sizes) > _MOST:
        parser.error(f"--sizes: at most {_MOST}, each of {_LEAST:,} or more")
    with running() as stack, ExitStack() as services:
        stack.stop("todos", "mailer", "activity", "notifier")
        _assert_room(stack.data, sizes)
        found = [_opened(stack, services, place, size) for place, size in enumerate(sizes, _FIRST_PORT)]
        return uvloop.run(_measure(stack, found, options.rounds, options.seconds))


def _opened(stack: Stack, services: ExitStack, place: int, size: int) -> Filled:
    filled = Filled(stack, size)
    say(f"bench: filling {filled.name}")
    stack.add_database(filled.name)
    asyncio.run(filled.fill())
    filled.url = services.enter_context(stack.beside("todos", filled.name, place))
    return filled


if __name__ == "__main__":
    main()
