"""What `just bench-peers` tells: tables of ours and the peers, with ratios taken within a round."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from bench.figures import Run, ratios, row, spread, table
from bench.load import CONNECTIONS, generator

ALONE: Final = "ours, API role alone"
PIPELINE: Final = "ours, everything behind it running too"
CODES: Final = "ours, everything behind it running too"
_MB: Final = 2**20

_PAGE: Final = """\
# Beside what people would use instead

Rounds: {rounds}, everything in turn within each; {connections} connections, closed loop, load by {generator}. A
figure is the median over the rounds, in brackets the least and the greatest; times are in milliseconds. How to read
it: bench/README.md.

{machine}
{tables}"""


class Mails(Struct, frozen=True, kw_only=True):
    """Mails taken each second while load ran and after it, and each second of a connection while it ran."""

    under_load: float
    per_connection: float
    afterwards: float


class Measured(Struct, frozen=True, kw_only=True):
    """A run, the proportional memory of the side's processes at its end, seconds of a core for 1,000 requests."""

    run: Run
    memory: int
    cpu: float
    mails: Mails


Measures = dict[str, list[Measured]]


def page(machine: Sequence[tuple[str, str]], rounds: int, posted: Measures, asked: dict[int, Measures]) -> str:
    """The page, in Markdown."""
    parts = [f"\n## POST /todos/\n\n{_posts(posted)}\n"] if posted else []
    parts += [
        f"\n## POST /users/request-otp, a mail is taken in {delay} ms\n\n{_codes(measures)}\n"
        for delay, measures in asked.items()
        if measures
    ]
    return _PAGE.format(
        rounds=rounds,
        connections=CONNECTIONS,
        generator=generator(),
        machine=table(("machine", ""), machine),
        tables="".join(parts),
    )


def _posts(measures: Measures) -> str:
    head = ("side", "requests/s", "p50", "p99", "ours is, times", "MB", "CPU s per 1,000")
    return table(head, [row(name, _runs(each), *_costs(measures, PIPELINE, each)) for name, each in measures.items()])


def _codes(measures: Measures) -> str:
    head = (
        "side", "requests/s", "p50", "p99", "ours is, times", "MB", "CPU s per 1,000",
        "mails/s under load", "per connection-second", "mails/s afterwards",
    )  # fmt: skip
    return table(
        head,
        [row(name, _runs(each), *_costs(measures, CODES, each), *_posted(each)) for name, each in measures.items()],
    )


def _costs(measures: Measures, ours: str, side: list[Measured]) -> tuple[str, str, str]:
    return (
        spread(ratios(_runs(measures[ours]), _runs(side))),
        f"{median(each.memory for each in side) / _MB:.0f}",
        spread([each.cpu for each in side]),
    )


def _posted(side: list[Measured]) -> tuple[str, str, str]:
    mails = [each.mails for each in side]
    afterwards = [each.afterwards for each in mails if each.afterwards]
    return (
        spread([each.under_load for each in mails]),
        spread([each.per_connection for each in mails]),
        spread(afterwards) if afterwards else "nothing was left",
    )


def _runs(side: list[Measured]) -> list[Run]:
    return [each.run for each in side]
