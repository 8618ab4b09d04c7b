"""What `just bench-peers` finds: tables of ours and the peers, with ratios taken within a round."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Final

from msgspec import Struct

from bench.figures import Goal, Run, at_least, at_most, ratios, row, spread, table
from bench.findings import Bar, Findings
from bench.load import CONNECTIONS, generator
from bench.rivals import PEERS

ALONE: Final = "ours, API role alone"
PIPELINE: Final = "ours, everything behind it running too"
_MB: Final = 2**20

_HEAD: Final = """\
## Beside what people would use instead

{connections} connections, closed loop, load by {generator}; everything in turn within each round."""


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


def findings(machine: dict[str, str], posted: Measures, asked: dict[int, Measures]) -> Findings:
    """Tables and goals of what was measured."""
    head = _HEAD.format(connections=CONNECTIONS, generator=generator())
    tables = [f"### POST /todos/\n\n{_posts(posted)}"] if posted else []
    tables += [
        f"### POST /users/request-otp, a mail is taken in {delay} ms\n\n{_codes(measures)}"
        for delay, measures in asked.items()
        if measures
    ]
    bars = list(_bars(posted, asked))
    compared = [at_least(f"{bar.panel}, to {bar.peer}", bar.values, bar.goal) for bar in bars if bar.goal]
    goals = [*compared, *_mail_goals(asked)]
    return Findings(text="\n\n".join([head, *tables]), goals=goals, machine=machine, bars=bars)


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
        [row(name, _runs(each), *_costs(measures, PIPELINE, each), *_posted(each)) for name, each in measures.items()],
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


def _bars(posted: Measures, asked: dict[int, Measures]) -> Iterator[Bar]:
    for ours in (ALONE, PIPELINE):
        yield from _compared(f"POST /todos/, {ours}", posted, ours, {"background": 10, "faststream_asyncpg": 4})
        for delay, least in ((0, 8), (50, 250)):
            panel = f"request-otp, mail in {delay} ms, {ours}"
            yield from _compared(panel, asked[delay], ours, {"background": least})


def _compared(panel: str, measures: Measures, ours: str, least: Mapping[str, float]) -> Iterator[Bar]:
    for peer in PEERS:
        if peer in measures:
            values = ratios(_runs(measures[ours]), _runs(measures[peer]))
            yield Bar(panel=panel, peer=peer, values=values, goal=least.get(peer))


def _mail_goals(asked: dict[int, Measures]) -> Iterator[Goal]:
    quick, slow = asked[0].get(PIPELINE), asked[50].get(PIPELINE)
    if quick and slow:
        moved = [after.run.p99 / before.run.p99 for before, after in zip(quick, slow, strict=True)]
        yield at_most("request-otp's p99, mail in 50 ms to 0 ms", moved, 1.2)
    for delay, measures in asked.items():
        if any(name in PEERS for name in measures):
            yield at_least(f"mails a connection-second to the best peer's, mail in {delay} ms", _posting(measures), 1.5)


def _posting(measures: Measures) -> list[float]:
    """In each round, ours to the best peer's."""
    posting = {name: [each.mails.per_connection for each in side] for name, side in measures.items()}
    best = map(max, zip(*(side for name, side in posting.items() if name in PEERS), strict=True))
    return [ours / peer for ours, peer in zip(posting[PIPELINE], best, strict=True)]
