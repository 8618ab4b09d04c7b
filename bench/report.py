"""The page that a benchmark leaves: what was measured, where, and whether the goals were met."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from bench.appends import GROUPED, ONE_BY_ONE, WRITERS
from bench.arrivals import RATE, Arrivals
from bench.figures import Goal, Run, at_least, at_most, percentile, ratios, row, spread, table
from bench.load import CONNECTIONS, generator
from bench.posts import ECHO, PIPELINE, POST

Appends = dict[tuple[str, int], list[Run]]
Posts = dict[str, list[Run]]

_PAGE: Final = """\
# Benchmarks

Written by `./run bench` on {day}, rounds: {rounds}, the peers of a table in turn within each round. A figure is the
median over the rounds, in brackets the least and the greatest; times are in milliseconds. How to read it:
[bench/README.md](../bench/README.md). `fsync`, `synchronous_commit` and `full_page_writes` were on, as the server
says; after each run rows, counter, numbers and answers were equal.

{machine}

## Durable appends

A new to-do: its event and its row. Closed loop, one process of writers.

{appends}

## POST /todos/ beside an echo route of the same app

{connections} connections, closed loop, load by {generator}. The first row is the service with both roles, with
relay, JetStream and activity at work on the same cores; the others are two routes of one process, the API role alone.

{posts}

## From an answered POST to the entry in activity

{rate} requests per second, sent when due whatever became of the earlier ones.

{arrivals}

## Goals

{goals}
"""


def page(facts: Sequence[tuple[str, str]], appends: Appends, posts: Posts, arrivals: Sequence[Arrivals]) -> str:
    """The page, in Markdown."""
    goals = [*_append_goals(appends), *_post_goals(posts), *_arrival_goals(arrivals)]
    return _PAGE.format(
        day=date.today(),  # noqa: DTZ011 - the reader's calendar
        rounds=len(arrivals),
        machine=table(("machine", ""), facts),
        appends=_appends(appends),
        connections=CONNECTIONS,
        generator=generator(),
        posts=_posts(posts),
        rate=RATE,
        arrivals=_arrivals(arrivals),
        goals="\n".join(f"- {goal}" for goal in goals),
    )


def _appends(runs: Appends) -> str:
    lines = []
    for writers in WRITERS:
        group, single = runs[GROUPED, writers], runs[ONE_BY_ONE, writers]
        lines += [row(f"{writers}, {GROUPED}", group, spread(ratios(group, single)))]
        lines += [row(f"{writers}, {ONE_BY_ONE}", single, "1")]
    return table(("writers", "appends/s", "p50", "p99", "ratio"), lines)


def _append_goals(runs: Appends) -> list[Goal]:
    return [
        at_least(
            "group commit to one transaction each, 32 writers,", ratios(runs[GROUPED, 32], runs[ONE_BY_ONE, 32]), 4
        )
    ]


def _posts(runs: Posts) -> str:
    lines = [row(name, runs[name], spread(ratios(runs[name], runs[ECHO]))) for name in (PIPELINE, POST)]
    return table(("route", "requests/s", "p50", "p99", "ratio"), [*lines, row(ECHO, runs[ECHO], "1")])


def _post_goals(runs: Posts) -> list[Goal]:
    return [at_least(f"{POST} to {ECHO}", ratios(runs[POST], runs[ECHO]), 0.5)]


def _arrivals(runs: Sequence[Arrivals]) -> str:
    lines = [
        ("POST, from when it was due to its answer", *_percentiles([run.posts for run in runs])),
        ("from the answer to the entry", *_percentiles([run.entries for run in runs])),
        ("between two looks (the resolution)", *_percentiles([run.looks for run in runs])),
    ]
    return table(("", "p50", "p99"), lines)


def _percentiles(latencies: Sequence[Sequence[float]]) -> tuple[str, str]:
    p50, p99 = (spread([percentile(run, per_cent) for run in latencies]) for per_cent in (50, 99))
    return p50, p99


def _arrival_goals(runs: Sequence[Arrivals]) -> list[Goal]:
    p50, p99 = ([percentile(run.entries, per_cent) for run in runs] for per_cent in (50, 99))
    return [at_most("answer to entry, p50 in ms,", p50, 15), at_most("answer to entry, p99 in ms,", p99, 60)]
