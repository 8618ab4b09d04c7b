"""Lag under load: from an answered POST to the entry in activity, and to a frame at its person's socket.

First the most that a closed loop brings through the whole pipeline; then shares of that, sent by the clock.
"""

import argparse
import asyncio
import gc
import math
import statistics
from collections import defaultdict
from time import perf_counter, process_time
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import uvloop

from bench import findings
from bench.counts import SQL, Unsound, assert_durable, heard
from bench.figures import Goal, at_most, number, percentile, spread, table
from bench.findings import Findings
from bench.frames import completions, following
from bench.looks import Looks, until
from bench.machine import facts
from bench.paced import Done, Plan, paced
from bench.posts import BODY
from bench.requests import post
from bench.stack import Stack, running
from events.ids import uuid7
from local.console import say

GOALS: Final = {10: 5.0, 50: 15.0, 80: 25.0}
"""Milliseconds from an answer to its entry, p99, by per cent of the greatest rate."""
FRAMES_AT: Final = 50
FRAMES_GOAL: Final = 20.0
DRAINED_WITHIN: Final = 5.0
CONSUMERS: Final = ("activity", "mailer", "notifier")
_PEOPLE: Final = 64
_LOOKED_AT: Final = 300
"""Requests a second whose entries are looked for: those of one person, among many more of others."""
_COMPLETED: Final = 100
_OVERTIME: Final = 60.0
_PAUSE: Final = 0.02
_TEXT: Final = """\
## Lag under load

The most: {most} requests/s with everything behind them, closed loop, drained within 5 s.
Then shares of it, by the clock.

{lags}

{itself}"""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One run: requests a second, then seconds: from due to answered, on to what was waited for, how late they left,
    between two looks; and which share of a core load and looks took.
    """

    rate: float
    posts: list[float]
    arrived: list[float]
    late: list[float]
    looks: list[float]
    cost: float


class Bench:
    """Runs on one stack."""

    def __init__(self, stack: Stack, todos: asyncpg.Connection, activity: asyncpg.Connection, seconds: float) -> None:
        self._stack = stack
        self._todos = todos
        self._activity = activity
        self._seconds = seconds
        self._completed = 0

    async def most(self) -> float:
        """Requests a second of a closed loop, less where its lag is not drained in time."""
        plan, person = self._plan(0.0)
        level, drained = await self._run(plan, person)
        rate = level.rate
        while drained > DRAINED_WITHIN:
            say(f"bench: {number(rate)}/s: drained after {drained:.1f} s only")
            rate *= 0.9
            level, drained = await self._run(*self._plan(rate))
        say(f"bench: the most: {number(rate)}/s, drained after {drained:.1f} s, {_costs(level)}")
        return rate

    async def at(self, rate: float) -> Level:
        """One run at a rate."""
        level, _ = await self._run(*self._plan(rate))
        return level

    def _plan(self, rate: float) -> tuple[Plan, UUID]:
        """Every so manieth request is the watched person's, the others are all others'."""
        watched, every = uuid7(), max(1, math.ceil((rate or 10 * _LOOKED_AT) / _LOOKED_AT))
        [own, *others] = (self._request(person) for person in (watched, *(uuid7() for _ in range(_PEOPLE))))
        requests = [others[nr % _PEOPLE] if nr % every else own for nr in range(every * _PEOPLE)]
        return Plan(url=self._stack.todos, rate=rate, seconds=self._seconds, requests=requests), watched

    def _request(self, person: UUID) -> bytes:
        return post(self._stack.todos, "/todos/", BODY.encode(), self._stack.token(person))

    async def _run(self, plan: Plan, person: UUID) -> tuple[Level, float]:
        """A run, and the seconds until all was heard everywhere."""
        before = await self._settled()
        looks, began = Looks(self._activity, person), process_time()
        watching = asyncio.create_task(looks.run())
        done = await paced(plan)
        cost = (process_time() - began) / done.seconds
        drained = await self._drained(before + len(done.told))
        own = [told for told in done.told if plan.request(told.nr) is plan.requests[0]]
        await until(lambda: watching.done() or all(told.seq in looks.seen for told in own), "an entry lacks")
        watching.cancel()
        await asyncio.wait([watching])
        assert watching.cancelled(), "the observer ended by itself"
        await self._reconcile(before, done)
        arrived = [max(0.0, looks.seen[told.seq] - told.answered) for told in own]
        return _level(done, arrived, looks.gaps, cost), drained

    async def frames(self, rate: float) -> Level:
        """One run at a rate in which some requests complete to-dos of people who have a socket."""
        count = max(1, round(rate / _COMPLETED))
        plan, _ = self._plan(rate)
        async with following(self._stack) as followers:
            once = await completions(self._stack, followers, math.ceil(rate * self._seconds / count))
            plan = msgspec.structs.replace(plan, once=once, every=count)
            before, began = await self._settled(), process_time()
            done = await paced(plan)
            cost = (process_time() - began) / done.seconds
            own = [told for told in done.told if not told.nr % count]
            await until(lambda: sum(len(each.arrived) for each in followers) >= len(own), "a frame lacks")
        self._completed += len(own)
        await self._reconcile(before, done)
        rows = await self._todos.fetch(SQL.event_ids, "TODOS", [told.seq for told in own])
        arrived = {id_: at for each in followers for id_, at in each.arrived.items()}
        times = {row["seq"]: arrived[row["id"]] for row in rows}
        return _level(done, [max(0.0, times[told.seq] - told.answered) for told in own], [], cost)

    async def _drained(self, upto: int) -> float:
        """Seconds until everybody has heard what there is."""
        began = perf_counter()
        async with asyncio.TaskGroup() as group:
            for consumer in CONSUMERS:
                group.create_task(self._hears(consumer, upto))
        return perf_counter() - began

    async def _hears(self, consumer: str, upto: int) -> None:
        connection = await self._stack.connect(consumer)
        async with asyncio.timeout(_OVERTIME):
            while await connection.fetchval(SQL.checkpoint, consumer) < upto:  # noqa: ASYNC110 - another process's
                await asyncio.sleep(_PAUSE)
        await connection.close()

    async def _settled(self) -> int:
        """The events in the log, once activity has heard them all; each but completions made a row."""
        [counts] = await self._todos.fetch(SQL.log_counts, "TODOS")
        rows = int(counts["rows"])
        if {counts["last_seq"], counts["highest"], counts["states"] + self._completed} != {rows}:
            raise Unsound(f"counter, rows, highest number and state rows differ: {counts}")
        if rows:
            await heard(self._activity, rows)
        return rows

    async def _reconcile(self, before: int, done: Done) -> None:
        grown = await self._settled() - before
        if grown != len(done.told):
            raise Unsound(f"{len(done.told)} writes were answered, the log grew by {grown}")


def _level(done: Done, arrived: list[float], looks: list[float], cost: float) -> Level:
    return Level(
        rate=len(done.told) / done.seconds,
        posts=[told.answered - told.due for told in done.told],
        arrived=arrived,
        late=[told.left - told.due for told in done.told],
        looks=looks,
        cost=cost + done.cost,
    )


def _costs(level: Level) -> str:
    return f"load and looks took {level.cost:.0%} of a core"


async def _measure(stack: Stack, rounds: int, seconds: float) -> Findings:
    todos, activity = await stack.connect("todos"), await stack.connect("activity")
    await assert_durable(todos)
    machine = await facts(todos, stack.data)
    bench = Bench(stack, todos, activity, seconds)
    await bench.most()  # what a process does once
    most = statistics.median([await bench.most() for _ in range(3)])
    levels: dict[str, list[Level]] = defaultdict(list)
    for nr in range(1, rounds + 1):
        say(f"bench: round {nr} of {rounds}")
        for share in GOALS:
            levels[f"{share} %, to the entry"].append(await bench.at(most * share / 100))
        levels[f"{FRAMES_AT} %, to a frame"].append(await bench.frames(most * FRAMES_AT / 100))
    await todos.close()
    await activity.close()
    return Findings(text=_told(most, levels), goals=_goals(levels), machine=machine)


def _told(most: float, levels: dict[str, list[Level]]) -> str:
    head = ("of the most", "requests/s", "POST p50 ms", "p99", "p99.9", "answer to arrival p50 ms", "p99", "p99.9")
    lines = [
        (name, spread([run.rate for run in runs]), *_percentiles([run.posts for run in runs]),
         *_percentiles([run.arrived for run in runs]))
        for name, runs in levels.items()
    ]  # fmt: skip
    itself = (
        "the measure itself", "left late p50 ms", "p99", "p99.9", "two looks p50 ms", "p99", "p99.9", "% of a core",
    )  # fmt: skip
    apart = [
        (name, *_percentiles([run.late for run in runs]), *_percentiles([run.looks or [0.0] for run in runs]),
         spread([run.cost * 100 for run in runs]))
        for name, runs in levels.items()
    ]  # fmt: skip
    return _TEXT.format(most=number(most), lags=table(head, lines), itself=table(itself, apart))


def _goals(levels: dict[str, list[Level]]) -> list[Goal]:
    bounds = [*GOALS.values(), FRAMES_GOAL]
    return [
        at_most(f"lag at {name}, p99 in ms", [percentile(run.arrived, 99) for run in runs], bound)
        for (name, runs), bound in zip(levels.items(), bounds, strict=True)
    ]


def _percentiles(runs: list[list[float]]) -> tuple[str, ...]:
    return tuple(spread([percentile(run, per_cent) for run in runs]) for per_cent in (50, 99, 99.9))


def main() -> None:
    """Tell tables and goals."""
    parser = argparse.ArgumentParser(prog="bench.lags", description="Measure how far behind an answer its effects are")
    parser.add_argument("--seconds", type=float, default=10, help="how long each run takes (10)")
    findings.run(parser, _found, seconds=1)


def _found(options: argparse.Namespace) -> Findings:
    gc.disable()  # the observer's own stops would be told as the services'
    with running() as stack:
        return uvloop.run(_measure(stack, options.rounds, options.seconds))


if __name__ == "__main__":
    main()
