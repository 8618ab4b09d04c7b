"""Figures of runs and how they are told: medians over rounds, with their spread."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Final, Literal

from msgspec import Struct

_MS: Final = 1000.0


class Run(Struct, frozen=True, kw_only=True):
    """One run: how many were answered in how many seconds, and percentiles of their latency in milliseconds."""

    answered: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds


class Goal(Struct, frozen=True, kw_only=True):
    """What the median of values, one a round, is to be; a missed one is told and fails nothing: machines differ."""

    text: str
    values: list[float]
    kind: Literal["at least", "at most"]
    bound: float

    @property
    def median(self) -> float:
        """The figure that the bound is for."""
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        """Whether it is met."""
        is_met = self.median >= self.bound if self.kind == "at least" else self.median <= self.bound
        return "met" if is_met else "missed"

    def __str__(self) -> str:
        return f"{self.verdict}: {self.text}, {self.kind} {self.bound:g}: {spread(self.values)}"


def run_of(latencies: Sequence[float], seconds: float) -> Run:
    """The run whose answers took these seconds each."""
    return Run(answered=len(latencies), seconds=seconds, p50=percentile(latencies, 50), p99=percentile(latencies, 99))


def percentile(latencies: Sequence[float], per_cent: float) -> float:
    """A percentile of latencies in seconds, in milliseconds: the smallest that so many do not exceed."""
    ordered = sorted(latencies)
    return ordered[math.ceil(len(ordered) * per_cent / 100) - 1] * _MS


def ratios(runs: Sequence[Run], peers: Sequence[Run]) -> list[float]:
    """The rates of runs as multiples of their peers' in the same round."""
    return [run.rate / peer.rate for run, peer in zip(runs, peers, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Median, and in brackets the least and the greatest; of a single value that alone."""
    if len(values) == 1:
        return number(values[0])
    low, middle, high = (number(value) for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}-{high})"


def number(value: float) -> str:
    """Three digits that matter, thousands in full."""
    return (
        f"{value:,.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
        if value >= 1
        else f"{value:.3f}"
    )


def at_least(text: str, values: Sequence[float], least: float) -> Goal:
    """A goal for the median of values."""
    return Goal(text=text, values=list(values), kind="at least", bound=least)


def at_most(text: str, values: Sequence[float], most: float) -> Goal:
    """A goal for the median of values."""
    return Goal(text=text, values=list(values), kind="at most", bound=most)


def row(name: str, runs: Sequence[Run], *more: str) -> tuple[str, ...]:
    """A line of a table: answers per second, p50 and p99 in milliseconds."""
    columns: tuple[Callable[[Run], float], ...] = (lambda r: r.rate, lambda r: r.p50, lambda r: r.p99)
    return (name, *(spread([column(run) for run in runs]) for column in columns), *more)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose source reads well too."""
    widths = [max(len(line[nr]) for line in (head, *rows)) for nr in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in lines
    )
