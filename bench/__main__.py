"""`just bench`: measure, print the page, and keep it as docs/benchmarks.md."""

import argparse
import signal
import sys
from collections import defaultdict
from contextlib import AsyncExitStack

from bench import appends, arrivals, posts
from bench.counts import Unsound, assert_durable
from bench.figures import Run
from bench.machine import facts
from bench.report import page
from bench.stack import Stack, running
from events.process import start
from local.child import StartError
from local.console import say
from local.layout import REPOSITORY


def main() -> None:
    """Exit with 0 whatever the figures are, with 1 where they would mean nothing."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure this code on this machine")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (3)")
    parser.add_argument("--seconds", type=float, default=8, help="how long each run over HTTP takes (8)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running() as stack:
            start(_measure(stack, options.rounds, options.seconds))
    except (StartError, Unsound) as error:
        sys.exit(f"bench: {error}")


async def _measure(stack: Stack, rounds: int, seconds: float) -> None:
    async with AsyncExitStack() as leaving:
        todos, activity = await stack.connect("todos"), await stack.connect("activity")
        alone = await stack.connect_alone()
        for connection in (todos, activity, alone):
            leaving.push_async_callback(connection.close)
        await assert_durable(todos)
        machine = await facts(todos, stack.data)
        appended, posted = defaultdict(list), defaultdict(list)
        arrived = []
        await posts.measure(stack, todos, activity, alone, 2)  # what a process does once
        for nr in range(1, rounds + 1):
            say(f"bench: round {nr} of {rounds}")
            for writers in appends.WRITERS:
                for way in appends.WAYS:
                    run = await appends.measure(stack.appends_url, way, writers)
                    appended[way, writers].append(run)
                    _tell(f"{writers} writers, {way}", run)
            for name, run in (await posts.measure(stack, todos, activity, alone, seconds)).items():
                posted[name].append(run)
                _tell(name, run)
            arrived.append(await arrivals.measure(stack, todos, activity, seconds))
    text = page(list(machine.items()), appended, posted, arrived)
    (REPOSITORY / "docs" / "benchmarks.md").write_text(text)
    print(text)


def _tell(name: str, run: Run) -> None:
    say(f"bench: {name}: {run.rate:,.0f}/s, p50 {run.p50:.1f} ms, p99 {run.p99:.1f} ms")


if __name__ == "__main__":
    main()
