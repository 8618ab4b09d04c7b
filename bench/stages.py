"""`just bench-stages`: append core, relay and activity's consumer, each alone, beside what people would use instead."""

import argparse
from typing import Final

import uvloop

from bench import findings
from bench.cores import Bench
from bench.findings import Findings
from bench.machine import facts
from bench.pipes import Pipes
from bench.singles import SHORTEST
from bench.workshop import Workshop, opened
from local.console import say

STAGES: Final = ("append", "relay", "consumer")
_HEAD: Final = """\
## An event's way, each stage alone

PostgreSQL and NATS without the services; the peers of a table in turn within each round, counts compared after each."""


def main() -> None:
    """Tell tables and goals."""
    parser = argparse.ArgumentParser(prog="bench.stages", description="Measure each stage of an event's way")
    parser.add_argument("--seconds", type=float, default=3, help="how long a run of pgbench takes (3)")
    parser.add_argument("--events", type=int, default=200_000, help="events in the log for relay and consumer (200000)")
    parser.add_argument(
        "--only", nargs="+", choices=STAGES, default=STAGES, help="stages; the consumer needs the relay"
    )
    findings.run(parser, _found, seconds=SHORTEST, events=20_000)


def _found(options: argparse.Namespace) -> Findings:
    with opened() as workshop:
        return uvloop.run(_measure(workshop, options))


async def _measure(workshop: Workshop, options: argparse.Namespace) -> Findings:
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
    tables = [*([str(core)] if core.runs else []), *pipes.tables()]
    return Findings(text="\n\n".join([_HEAD, *tables]), goals=[*core.goals(), *pipes.goals()], machine=machine)


if __name__ == "__main__":
    main()
