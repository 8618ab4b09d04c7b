"""A simulated month in a running stack: heard, compared with a second count, and built anew idle and under load."""

import argparse
import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import asyncpg
import uvloop
from msgspec import Struct

from activity.builds import rebuild
from activity.projections import PROJECTIONS, add_build, advance, newest
from activity.tables import SQL
from bench.counts import SQL as BENCH
from bench.counts import Unsound, assert_durable
from bench.exports import Export, export
from bench.feeding import Feeder, feeding
from bench.figures import at_least, at_most, number, table
from bench.lives import Happening
from bench.month import events_of, month, write
from bench.reads import Reader
from bench.recomputed import Rows, differences, recomputed, shown
from bench.stack import Stack, running
from events.hearing import Event
from events.ids import uuid7
from events.postgres import open_pool
from local.layout import REPOSITORY

WRITES: Final = 200
_PATIENCE: Final = 120
_EACH: Final = 10
"""Writes at a time: twenty times a second."""
_READERS: Final = 2
_READ_OF: Final = 20
"""People whose own figures are read."""


class Built(Struct, frozen=True):
    """A rebuild: how many events, seconds until all were in and until it was compared and shown, what differed."""

    events: int
    adding: float
    whole: float
    wrong: list[str]


class Loaded(Struct, frozen=True):
    """What was written and read in so many seconds while everything was built anew, and what went wrong."""

    seconds: float
    writes: int
    reads: int
    failed: list[str]
    changed: list[str]
    wrong: list[str]


def main() -> None:
    """Print rates, ratios, and what differs."""
    parser = argparse.ArgumentParser(prog="bench.rebuilds", description="Measure a month's figures and their rebuild")
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the month (1000000)")
    parser.add_argument("--more", type=int, help="further ones, to be written during a rebuild (a 25th)")
    parser.add_argument("--seed", type=int, default=1, help="which month (1)")
    parser.add_argument("--singly", type=int, default=2_000, help="events that are put in one by one (2000)")
    options = parser.parse_args()
    more = options.events // 25 if options.more is None else options.more
    told = month(options.seed, options.events + more)
    if any(each.what == "erased" for each in told[options.events :]):
        raise Unsound("somebody is erased while figures are read: their answers would change")
    gc.freeze()
    with TemporaryDirectory(prefix="month-", dir=_var()) as folder, running() as stack:
        stack.stop("todos", "mailer", "notifier")  # the month speaks in their place
        stack.api_alone("auth")
        uvloop.run(_measure(stack, told, options.events, options.singly, Path(folder) / "month.parquet"))
        stack.start_anew("activity")
        _tell_export(uvloop.run(export(stack, Path(folder))))


def _var() -> Path:
    (REPOSITORY / "var").mkdir(exist_ok=True)
    return REPOSITORY / "var"


async def _measure(stack: Stack, told: Sequence[Happening], events: int, singly: int, file: Path) -> None:
    write(told, file)
    owner = await stack.connect("activity")
    await owner.execute("set statement_timeout = 0; set transaction_timeout = 0")
    await assert_durable(owner)
    all_events = events_of(told)
    async with (
        feeding(stack.broker_url, owner) as feeder,
        await open_pool(stack.activity_url, application="bench", patience=_PATIENCE) as pool,
    ):
        started = perf_counter()
        await feeder.feed(event for _, event in zip(range(events), all_events, strict=False))
        await feeder.heard(events)
        heard = perf_counter() - started
        await feeder.settled()
        settled = perf_counter() - started
        rate = f"{events:,} events heard in {heard:.0f} s, {events / heard:,.0f} a second, published meanwhile"
        print(f"\n{rate}; figures reflected them {settled - heard:.1f} s later.\n")
        await _compare(pool, file, events)
        await owner.execute("vacuum analyze", timeout=_PATIENCE)
        built = {name: await _rebuild(pool, name) for name in PROJECTIONS}
        _tell_rebuilds(built, {name: await _one_by_one(pool, name, singly) for name in PROJECTIONS})
        _tell_loaded(await _under_load(stack, pool, feeder, list(all_events)))
        await feeder.settled()
        await _compare(pool, file, feeder.published)
    await owner.close()


async def _compare(pool: asyncpg.Pool, file: Path, upto: int) -> None:
    """Compare every row of every metric; raises `Unsound` where one differs."""
    expected = await asyncio.to_thread(recomputed, file, upto)
    told: dict[str, Rows] = {}
    seconds = {}
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        for name in expected:
            started = perf_counter()
            told[name] = await shown(connection, name)
            seconds[name] = perf_counter() - started
        hard = await connection.fetchrow(BENCH.month_hard)
    wrong = differences(told, expected)
    lines = [
        (name, f"{len(rows):,}", "differ" if wrong[name] else "equal", number(seconds[name]))
        for name, rows in expected.items()
    ]
    print(table((f"metric as of {upto:,}", "rows", "DuckDB's", "seconds to read"), lines))
    if any(wrong.values()):
        raise Unsound("\n".join(f"{name}: {line}" for name, found in wrong.items() for line in found))
    assert hard is not None
    print(f"\n{hard['moved']:,} actions were moved by late words about zones, {hard['erased']:,} people were erased.")


async def _rebuild(pool: asyncpg.Pool, name: str) -> Built:
    """Build a projection anew, compare it with what is shown, and show it."""
    started = perf_counter()
    ended = started

    def report(_: int, __: int) -> None:
        nonlocal ended
        ended = perf_counter()

    done = await rebuild(pool, name, newest(name), report)
    wrong = [f"{name}: {each.rows:,} rows of {each.table} from {each.first:,} on" for each in done.differences]
    return Built(done.position, ended - started, perf_counter() - started, wrong)


async def _one_by_one(pool: asyncpg.Pool, name: str, events: int) -> float:
    """Events a second where each has a transaction of its own, as when they come in singly."""
    build = await add_build(pool, name, newest(name), "building")
    started = perf_counter()
    for _ in range(events):
        await advance(pool, build, 1)
    seconds = perf_counter() - started
    await pool.execute(SQL.drop_build, build.id)
    return events / seconds


async def _under_load(stack: Stack, pool: asyncpg.Pool, feeder: Feeder, events: Sequence[Event]) -> Loaded:
    """Build everything anew while events are written at a steady pace and figures are read all the time."""
    place = await pool.fetchrow(BENCH.month_place, _READ_OF)
    assert place is not None
    token = stack.token(uuid7(), "analyst")
    readers = [Reader(stack.activity, token, place["position"], place["people"]) for _ in range(_READERS)]
    for reader in readers:
        await reader.look()
    before, started = feeder.published, perf_counter()
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for reader in readers:
            group.create_task(reader.run(over))
        group.create_task(_write(feeder, events, over))
        built = [await _rebuild(pool, name) for name in PROJECTIONS]
        seconds = perf_counter() - started
        over.set()
    for reader in readers:
        await reader.close()
    return Loaded(
        seconds=seconds,
        writes=feeder.published - before,
        reads=sum(reader.reads for reader in readers),
        failed=[each for reader in readers for each in reader.failed],
        changed=[each for reader in readers for each in reader.changed],
        wrong=[line for each in built for line in each.wrong],
    )


async def _write(feeder: Feeder, events: Sequence[Event], over: asyncio.Event) -> None:
    """Publish events when they are due; raises `Unsound` where they do not last."""
    started = perf_counter()
    for at in range(0, len(events), _EACH):
        if over.is_set():
            return
        await asyncio.sleep(started + at / WRITES - perf_counter())
        await feeder.publish(events[at : at + _EACH])
    raise Unsound("nothing was left to be written during the rebuild: give it --more")


def _tell_rebuilds(built: dict[str, Built], singly: dict[str, float]) -> None:
    rates = {name: each.events / each.whole for name, each in built.items()}
    ratios = {name: rate / singly[name] for name, rate in rates.items()}
    head = ("projection", "seconds to add", "in all", "events/s", "one by one, events/s", "ratio")
    rows = [
        (name, *map(number, (each.adding, each.whole, rates[name], singly[name], ratios[name])))
        for name, each in built.items()
    ]
    print(f"\n{table(head, rows)}\n")
    print(f"- {at_least('events/s of a simple projection', [rates['sign_ins']], 100_000)}")
    print(f"- {at_least('times one transaction each, the least of them', [min(ratios.values())], 25)}")
    print(f"- {at_most('seconds for all', [sum(each.whole for each in built.values())], 90)}")
    print(f"- {at_most('differences', [sum(len(each.wrong) for each in built.values())], 0)}")


def _tell_loaded(told: Loaded) -> None:
    writes = f"{told.writes / told.seconds:,.0f} events/s were written ({told.writes:,})"
    reads = f"figures read {told.reads / told.seconds:,.0f} times/s ({told.reads:,})"
    print(f"\nThe same while {writes} and {reads}: {told.seconds:.0f} s for all.\n")
    print(f"- {at_most('reads that failed', [len(told.failed)], 0)}")
    print(f"- {at_most('answers that differ from those before', [len(told.changed)], 0)}")
    print(f"- {at_most('differences between what was shown and what was built', [len(told.wrong)], 0)}\n")
    for line in [*told.failed, *told.changed, *told.wrong][:10]:
        print(f"  {line}")


def _tell_export(told: Export) -> None:
    mib = 1 << 20
    held = f"the process held {told.before / mib:.0f} MiB before, {told.most / mib:.0f} MiB at most"
    print(f"\n{told.rows:,} rows as Parquet in {told.seconds:.1f} s, {told.size / mib:.1f} MiB; {held}.")


if __name__ == "__main__":
    main()
