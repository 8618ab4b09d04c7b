"""One line of JSON a run, below var/: results of many calls add up. The table that is made of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

import msgspec

from local.layout import REPOSITORY

FOLDER: Final = REPOSITORY / "var" / "faults"
_DOCUMENT: Final = REPOSITORY / "docs" / "faults.md"
_BEGIN, _END = "<!-- runs -->\n", "<!-- /runs -->\n"

_COLUMNS: Final = (
    "fault", "runs", "acknowledged", "lost", "duplicated", "reordered", "mails twice", "recovery, median", "worst",
    "status true", "seeds",
)  # fmt: skip


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A run: one fault under load, then the reconciliation.

    `recovery`: seconds from the end of the fault until a write made after it was seen in its person's activity.
    `twice`: letters that reached the mail server twice in this run, inside the documented window, under one Message-ID.
    `goal`: what is promised of that. `busy`: how many processes wanted to run on the machine, over the last minute.
    `truths`, `lies`: how often `todo-ops status` was asked and told what is so, and what it told that is not.
    """

    fault: str
    seed: int
    when: str
    revision: str
    effect: list[str]
    acknowledged: int
    given_up: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    twice: int = 0
    recovery: float = 0.0
    goal: float | None = None
    busy: float = 0.0
    truths: int = 0
    lies: list[str] = []
    troubles: list[str] = []

    @property
    def is_good(self) -> bool:
        """Whether it took effect and everything agreed in the end."""
        late = self.goal is not None and self.recovery > self.goal
        wrong = self.lost or self.duplicated or self.reordered or self.troubles or self.lies
        return bool(self.effect) and not wrong and not late


def keep(result: Result) -> None:
    """Add a line."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "results.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(result) + b"\n")


def kept() -> list[Result]:
    """All lines so far."""
    path = FOLDER / "results.jsonl"
    return [msgspec.json.decode(line, type=Result) for line in path.read_bytes().splitlines()] if path.exists() else []


def table(results: Iterable[Result], names: Sequence[str]) -> str:
    """A row for each fault, in the order of `names`, as Markdown; runs without effect are no runs."""
    runs: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.effect:
            runs[result.fault].append(result)
    lines = [
        "| " + " | ".join(_COLUMNS) + " |",
        "|---|" + "--:|" * (len(_COLUMNS) - 2) + "---|",
    ]
    ordered = [*names, *(name for name in runs if name not in names)]
    return "\n".join([*lines, *(_row(name, runs[name]) for name in ordered if runs[name])]) + "\n"


def _row(name: str, runs: Sequence[Result]) -> str:
    counts = " | ".join(
        f"{sum(getattr(run, what) for run in runs):,}"
        for what in ("acknowledged", "lost", "duplicated", "reordered", "twice")
    )
    times = sorted(run.recovery for run in runs if run.recovery)
    recovery = f"{median(times):.1f} s | {times[-1]:.1f} s" if times else "- | -"
    lies = sum(bool(run.lies) for run in runs)
    truths = sum(run.truths for run in runs)
    truth = f"{truths} of {truths + lies}" if truths + lies else "-"
    return f"| {name} | {len(runs)} | {counts} | {recovery} | {truth} | {_seeds(run.seed for run in runs)} |"


def _seeds(seeds: Iterable[int]) -> str:
    """Seeds, neighbours as a range."""
    ranges: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if ranges and seed == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], seed]
        else:
            ranges.append([seed, seed])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)


def write(text: str) -> None:
    """Put the table into docs/faults.md."""
    before, rest = _DOCUMENT.read_text().split(_BEGIN)
    _, after = rest.split(_END)
    _DOCUMENT.write_text(f"{before}{_BEGIN}{text}{_END}{after}")
