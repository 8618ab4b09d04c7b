"""`just bench-stages`: append core, relay and activity's consumer, each alone, beside what people would use instead."""

import argparse
import signal
import sys

import uvloop

from bench.cores import Bench
from bench.counts import Unsound
from bench.figures import table
from bench.machine import facts
from bench.pipes import Pipes
from bench.workshop import Workshop, opened
from local.child import StartError
from local.console import say

STAGES = ("append", "relay", "consumer")


def main() -> None:
    """Print tables and goals; exit with 1 only where the figures would mean nothing."""
    parser = argparse.ArgumentParser(prog="bench.stages", description="Measure each stage of an event's way")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (5)")
    parser.add_argument("--seconds", type=float, default=3, help="how long a run of pgbench takes (3)")
    parser.add_argument("--events", type=int, default=200_000, help="events in the log for relay and consumer (200000)")
    parser.add_argument(
        "--only", nargs="+", choices=STAGES, default=STAGES, help="stages; the consumer needs the relay"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with opened() as workshop:
            uvloop.run(_measure(workshop, options))
    except (StartError, Unsound) as error:
        sys.exit(f"bench: {error}")


async def _measure(workshop: Workshop, options: argparse.Namespace) -> None:
    core, pipes = Bench(workshop, options.seconds), Pipes(workshop, options.events)
    looker = await workshop.connect("todos", "todos")
    machine = await facts(looker, workshop.postgres.data)
    await looker.close()
    if "append" in options.only:
        await core.prepare()
    if options.only != ["append"]:
        await pipes.prepare()
    for nr in range(1, options.rounds + 1):
        say(f"bench: round {nr} of {options.rounds}")
        if "append" in options.only:
            await core.round()
        if options.only != ["append"]:
            await pipes.relay_round()
        if "consumer" in options.only:
            await pipes.consumer_round(nr)
    parts = [table(("machine", ""), machine), *([str(core)] if core.runs else []), *pipes.tables()]
    print("\n\n".join(["", *(part for part in parts if part)]), end="\n\n")
    print("\n".join(f"- {goal}" for goal in (*core.goals(), *pipes.goals())))


if __name__ == "__main__":
    main()
