"""`just bench-replicas`: one to four API processes that append to one feed share 32 connections."""

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import uvloop
from msgspec import Struct

from bench import findings
from bench.backends import Server, taken
from bench.counts import Unsound, assert_durable, reconcile, rows_of
from bench.cycled import Cycle, cycled, generator, line
from bench.figures import spread, table
from bench.findings import Findings
from bench.load import CONNECTIONS, cut_off
from bench.machine import facts
from bench.posts import BODY
from bench.stack import Stack, running
from events.ids import uuid7
from local.console import say

_DATABASE: Final = "todos_shared"
_FIRST_PORT: Final = 11  # after the echo's
_MOST: Final = 4
_WARM_UP: Final = 1.0
_HEAD: Final = """\
## One to four API processes on one feed

`POST /todos/`, closed loop, {connections} connections in all, load by {generator}; no relay reads that database.
p50 and p99 are those of the process that has the longest."""


class Shared(Struct, frozen=True):
    """What so many processes did together; `cost` is the milliseconds their connections to PostgreSQL took for each."""

    cycles: list[Cycle]
    cost: float

    @property
    def rate(self) -> float:
        """Requests a second, of all processes."""
        return sum(cycle.rate for cycle in self.cycles)


Runs = dict[int, list[Shared]]
"""By the number of processes, a run a round."""


def main() -> None:
    """Tell the table."""
    parser = argparse.ArgumentParser(prog="bench.replicas", description="Measure API processes that share a feed")
    parser.add_argument("--seconds", type=float, default=5, help="how long each run takes (5)")
    findings.run(parser, _found, seconds=1.0)


def _found(options: argparse.Namespace) -> Findings:
    with running() as stack, ExitStack() as services:
        stack.stop("todos", "mailer", "activity", "notifier")
        stack.add_database(_DATABASE)
        places = range(_FIRST_PORT, _FIRST_PORT + _MOST)
        urls = [services.enter_context(stack.beside("todos", _DATABASE, place)) for place in places]
        return uvloop.run(_measure(stack, urls, options.rounds, options.seconds))


async def _measure(stack: Stack, urls: Sequence[str], rounds: int, seconds: float) -> Findings:
    owner = await stack.connect_alone(_DATABASE)
    await assert_durable(owner)
    machine = await facts(owner, stack.data)
    runs: Runs = defaultdict(list)
    for nr in range(rounds + 1):  # the first is what processes do once
        say(f"bench: round {nr} of {rounds}")
        for many in range(1, len(urls) + 1):
            before = await rows_of(owner)
            one = await _shared(stack, urls[:many], seconds if nr else _WARM_UP)
            await reconcile(owner, before, sum(cycle.answered for cycle in one.cycles), cut_off=cut_off())
            if nr:
                runs[many].append(one)
            say(f"bench: {many} processes: {one.rate:,.0f}/s")
    await owner.close()
    text = "\n\n".join((_HEAD.format(connections=CONNECTIONS, generator=generator()), _table(runs)))
    return Findings(text=text, goals=[], machine=machine)


async def _shared(stack: Stack, urls: Sequence[str], seconds: float) -> Shared:
    server, lines = Server(stack.data), [line("POST", "/todos", stack.token(uuid7()), BODY)]
    before = server.of("todos", _DATABASE)
    shares = [len(range(nr, CONNECTIONS, len(urls))) for nr in range(len(urls))]
    cycles = await asyncio.gather(
        *(
            cycled(url, lines, connections=share, seconds=seconds, status=201)
            for url, share in zip(urls, shares, strict=True)
        )
    )
    answered = sum(cycle.answered for cycle in cycles)
    if failed := sum(cycle.failed for cycle in cycles):
        raise Unsound(f"{failed} of {answered} answers were not 201")
    return Shared(list(cycles), taken(before, server.of("todos", _DATABASE)) / answered * 1000)


def _table(runs: Runs) -> str:
    head = ("processes", "requests/s", "times one's", "p50 ms", "p99", "PostgreSQL, CPU ms for a request")
    return table(head, [(str(many), *_columns(each, runs[1])) for many, each in runs.items()])


def _columns(runs: Sequence[Shared], alone: Sequence[Shared]) -> tuple[str, ...]:
    return (
        spread([run.rate for run in runs]),
        spread([run.rate / one.rate for run, one in zip(runs, alone, strict=True)]),
        spread([max(cycle.p50 for cycle in run.cycles) for run in runs]),
        spread([max(cycle.p99 for cycle in run.cycles) for run in runs]),
        spread([run.cost for run in runs]),
    )


if __name__ == "__main__":
    main()
