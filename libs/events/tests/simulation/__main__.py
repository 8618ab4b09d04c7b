"""`python -m simulation`: histories by their seeds; see --help."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import count

from simulation.bugs import BUGS, planted
from simulation.search import quiet, search
from simulation.world import Outcome


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="live this one history and print its trace where a promise breaks")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, default=60, help="how long to look, in time of a core")
    parser.add_argument("--bug", choices=BUGS, help="with this bug planted")
    parser.add_argument("--bugs", action="store_true", help="look for every planted bug, so long each")
    parser.add_argument("--lines", type=int, default=60, help="how much of the trace to print")
    given = parser.parse_args(arguments)
    with quiet():
        if given.bugs:
            return _find_all(given)
        seeds = iter([given.seed]) if given.seed is not None else count(given.first)
        with planted(given.bug) if given.bug else nullcontext():
            return _report(given, *search(seeds, seconds=given.seconds))


def _report(given: argparse.Namespace, outcome: Outcome | None, tried: int, seconds: float) -> int:
    print(f"{tried} histories in {seconds:.1f} s of a core, {tried / seconds * 60:,.0f} a minute")
    if outcome is None:
        return 0
    if not outcome.broken:
        print(f"seed {outcome.seed}: {outcome.events} events, {outcome.steps} steps, trace {outcome.trace_hash}")
        return 0
    for moment, *words in outcome.trace[len(outcome.trace) - given.lines :]:
        print(f"{moment:9.4f}", *words)
    bug = f" --bug {given.bug}" if given.bug else ""
    print(f"broken after {outcome.seconds:.1f} virtual seconds: {outcome.broken}")
    print(f"again: ./run simulate --seed {outcome.seed}{bug}")
    return 1


def _find_all(given: argparse.Namespace) -> int:
    missed = 0
    print("| bug | histories | seconds of a core | seed | what broke |\n|---|---|---|---|---|")
    for name, bug in BUGS.items():
        with planted(name):
            outcome, tried, seconds = search(count(given.first), seconds=given.seconds)
        is_found = outcome is not None and outcome.broken
        found = f"{outcome.seed} | {outcome.broken}" if outcome and is_found else "- | not found"
        print(f"| {bug.told} | {tried} | {seconds:.1f} | {found} |", flush=True)
        missed += not is_found
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
