"""The figures of the last release, kept in ratios.json, and which of today's are worse than these beyond the noise."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from bench.figures import Goal, spread

FILE: Final = Path(__file__).with_name("ratios.json")
_MARGIN: Final = 0.25


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What a goal's values were."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return spread([self.least, self.median, self.greatest])


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Figures by the text of their goal, when and where they were measured."""

    day: date
    machine: dict[str, str]
    goals: dict[str, Figure]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A line for each figure that is worse; the goals that the release lacks, and those that were not measured."""

    worse: list[str]
    new: list[str]
    missing: list[str]

    def __str__(self) -> str:
        told = (("not in the release", self.new), ("not measured now", self.missing))
        lists = [f"{what}: {'; '.join(texts)}" for what, texts in told if texts]
        last = f"{len(self.worse)} warned: worse than in the release by more than {_MARGIN:.0%} and beyond the noise"
        return "\n".join([*self.worse, *lists, last])


def release_of(goals: Sequence[Goal], machine: Mapping[str, str], day: date) -> Release:
    """What is to be kept of a release."""
    return Release(day=day, machine=dict(machine), goals={goal.text: _figure(goal.values) for goal in goals})


def compared(goals: Sequence[Goal], release: Release) -> Comparison:
    """Today's figures with a release's."""
    pairs = [(goal, release.goals[goal.text]) for goal in goals if goal.text in release.goals]
    return Comparison(
        worse=[
            f"warning: {goal.text}: {spread(goal.values)}, {then} on {release.day}"
            for goal, then in pairs
            if _is_worse(goal, then)
        ],
        new=[goal.text for goal in goals if goal.text not in release.goals],
        missing=sorted(release.goals.keys() - {goal.text for goal in goals}),
    )


def _is_worse(goal: Goal, then: Figure) -> bool:
    """By more than the margin, and all values beyond all of then."""
    if goal.kind == "at least":
        return goal.median < then.median * (1 - _MARGIN) and max(goal.values) < then.least
    return goal.median > then.median * (1 + _MARGIN) and min(goal.values) > then.greatest


def _figure(values: Sequence[float]) -> Figure:
    middle, least, greatest = (float(f"{value:.4g}") for value in (median(values), min(values), max(values)))
    return Figure(median=middle, least=least, greatest=greatest)


def read() -> Release:
    """The last release's; raises `FileNotFoundError` before there was any."""
    return msgspec.json.decode(FILE.read_bytes(), type=Release)


def write(release: Release) -> None:
    """Keep it as the last one."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(release)) + b"\n")
