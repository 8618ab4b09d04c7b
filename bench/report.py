"""The page that all parts of the benchmarks together leave: whether goals were met, then what each part found."""

from collections.abc import Mapping
from datetime import date
from typing import Final

from bench.figures import spread, table
from bench.findings import Bar, Findings

_PAGE: Final = """\
# Benchmarks

Written by `./run bench` on {day}, rounds: {rounds}, the peers of a table in turn within each round. A figure is the
median over the rounds, in brackets the least and the greatest; times are in milliseconds where nothing else is said.
How to read it: [bench/README.md](../bench/README.md). Where appends were measured, `fsync`, `synchronous_commit` and
`full_page_writes` were on, as the server says; after each run what was stored was compared with what was answered.
{picture}
{machine}

## Goals

{goals}

{parts}
"""


def page(found: Mapping[str, Findings], rounds: int, day: date) -> str:
    """The page, in Markdown; the machine is told as the first part met it, before there was load of ours."""
    lines = [
        (name, goal.text, f"{goal.kind} {goal.bound:g}", spread(goal.values), goal.verdict)
        for name, part in found.items()
        for goal in part.goals
    ]
    return _PAGE.format(
        day=day,
        rounds=rounds,
        picture="\n![Ours to each peer](benchmarks.svg)\n" if bars(found) else "",
        machine=table(("machine", ""), list(machine(found).items())),
        goals=table(("part", "goal", "to be", "found", ""), lines),
        parts="\n\n".join(part.text for part in found.values()),
    )


def bars(found: Mapping[str, Findings]) -> list[Bar]:
    """What there is to draw."""
    return [bar for part in found.values() for bar in part.bars]


def machine(found: Mapping[str, Findings]) -> dict[str, str]:
    """Of the first part that asked for it."""
    return next((part.machine for part in found.values() if part.machine), {})
