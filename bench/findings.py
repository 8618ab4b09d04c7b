"""What a part of the benchmarks found, and how its program ends: told on stdout, kept in a file where one is named."""

import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.counts import Unsound
from bench.figures import Goal, table
from bench.slowdisk import flushes_take
from local.child import StartError


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """Ours to a peer, a ratio a round, as it is drawn below the heading `panel`."""

    panel: str
    peer: str
    values: list[float]
    goal: float | None


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """Markdown below a heading of its own, goals, the machine where the part has asked for it, what to draw."""

    text: str
    goals: list[Goal]
    machine: dict[str, str] = {}
    bars: list[Bar] = []

    def __str__(self) -> str:
        machine = [table(("machine", ""), list(self.machine.items()))] if self.machine else []
        goals = ["\n".join(f"- {goal}" for goal in self.goals)] if self.goals else []
        return "\n\n".join([self.text, *machine, *goals])


def run(parser: ArgumentParser, measure: Callable[[Namespace], Findings], *, rounds: int = 5, **quick: object) -> None:
    """Measure as the command line says; `quick`: what its options are with `--quick`, which is one round.

    Exits with 0 whatever the figures are, with 1 where they would mean nothing.
    """
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often everything is measured ({rounds})")
    parser.add_argument("--quick", action="store_true", help="one round, and as short as can be")
    parser.add_argument("--flush", type=float, default=0, metavar="MS", help="on a disk that takes so much longer")
    parser.add_argument("--into", type=Path, metavar="FILE", help="keep what was found as JSON, too")
    if parser.parse_args().quick:
        parser.set_defaults(rounds=1, **quick)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with flushes_take(options.flush):
            found = measure(options)
    except (StartError, Unsound) as error:
        sys.exit(f"bench: {error}")
    print(found)
    if options.into:
        options.into.write_bytes(msgspec.json.encode(found))
