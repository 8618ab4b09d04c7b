"""Figures from the archive alone: right in each person's own days, whenever events come in, in whatever slices."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reporting import Diary, keeping

from activity.projections import PROJECTIONS, Build, add_build, advance, builds, catch_up
from activity.tables import erase_archive, erase_projections
from events.catalog.auth import UserErased
from local.fixtures import DatabaseFactory


@pytest.fixture
async def diary(database: DatabaseFactory) -> AsyncIterator[Diary]:
    async with keeping(database("activity").url) as kept:
        yield kept


async def daily(diary: Diary, as_of: int | None = None) -> dict[tuple[UUID, str], dict[str, int]]:
    async with diary.pool.acquire() as connection, connection.transaction():
        await connection.execute("select set_config('analytics.as_of', $1, true)", str(as_of or ""))
        rows = await connection.fetch("select * from analytics.daily order by user_id, day")
    names = ("created", "completed", "reopened", "deleted", "overdue")
    return {(row["user_id"], str(row["day"])): {n: row[n] for n in names if row[n]} for row in rows}


async def test_what_a_person_did_counts_on_their_own_day(diary: Diary) -> None:
    me, other = await diary.register("2026-11-01T00:00"), await diary.register("2026-11-01T00:00", "America/New_York")
    [todo] = await diary.create(me, "2026-11-22T14:59")
    await diary.create(other, "2026-11-22T14:59")
    await diary.toggle(me, "2026-11-22T15:00", todo)
    await diary.toggle(me, "2026-11-22T15:01", todo, done=False)
    await diary.miss(me, "2026-11-23T15:00")
    await diary.build()
    assert await daily(diary) == {
        (me, "2026-11-22"): {"created": 1},
        (me, "2026-11-23"): {"completed": 1, "reopened": 1},
        (me, "2026-11-24"): {"overdue": 1},
        (other, "2026-11-22"): {"created": 1},
    }


async def test_a_word_about_the_zone_that_comes_late_moves_what_it_concerns_and_nothing_before(diary: Diary) -> None:
    me = await diary.register("2026-11-01T00:00", "UTC")
    await diary.create(me, "2026-11-22T14:00", "2026-11-22T15:30", "2026-11-22T18:30")
    await diary.build()
    assert await daily(diary) == {(me, "2026-11-22"): {"created": 3}}
    await diary.move(me, "2026-11-22T15:00", "Asia/Seoul")
    await diary.build()
    assert await daily(diary) == {(me, "2026-11-22"): {"created": 1}, (me, "2026-11-23"): {"created": 2}}
    assert await daily(diary, as_of=4) == {(me, "2026-11-22"): {"created": 3}}, "as it was told then"


async def test_of_an_erased_person_no_figure_is_left_also_in_a_build_to_come(diary: Diary) -> None:
    me, other = await diary.register("2026-11-01T00:00"), await diary.register("2026-11-01T00:00")
    await diary.create(me, "2026-11-22T14:00")
    await diary.create(other, "2026-11-22T14:00")
    await diary.build()
    await diary.hear(me, "2026-11-23T00:00", UserErased(user_id=me))
    await diary.build()
    building = await add_build(diary.pool, "actions", 1, "building")
    await advance(diary.pool, building, 1000)
    assert {user for user, _ in await daily(diary)} == {me, other}, "not yet"
    await erase_archive(diary.pool, me, 100)
    await erase_projections(diary.pool, me, 100)
    assert {user for user, _ in await daily(diary)} == {other}
    left = await diary.pool.fetchval("select count(*) from projections.action where user_id = $1", me)
    assert left + await diary.pool.fetchval("select count(*) from projections.zone where user_id = $1", me) == 0


async def test_two_instances_count_nothing_twice(diary: Diary) -> None:
    me = await diary.register("2026-11-01T00:00")
    await diary.create(me, *["2026-11-22T14:00"] * 20)
    await asyncio.gather(*(diary.build() for _ in range(3)))
    assert await daily(diary) == {(me, "2026-11-22"): {"created": 20}}
    assert [build.position for build in await builds(diary.pool)] == [21] * len(PROJECTIONS)


async def test_a_slice_that_takes_too_long_is_added_in_parts(diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    me = await diary.register("2026-11-01T00:00")
    await diary.create(me, *["2026-11-22T14:00"] * 20)
    parts: list[int] = []

    async def slow(pool: asyncpg.Pool, build: Build, limit: int) -> tuple[int, int]:
        parts.append(limit)
        if limit > 5:
            raise asyncpg.QueryCanceledError
        return await advance(pool, build, limit)

    monkeypatch.setattr("activity.projections.advance", slow)
    build = await add_build(diary.pool, "actions", 1, "live")
    assert await catch_up(diary.pool, build, 16, lambda *_: None) == 21
    assert parts[:4] == [16, 8, 4, 8]
    assert await daily(diary) == {(me, "2026-11-22"): {"created": 20}}


ZONES = st.sampled_from(["UTC", "Asia/Seoul", "America/New_York", "Pacific/Auckland", "Nowhere/Atall", None])
HOURS = st.integers(0, 24 * 9)
FIRST = datetime(2026, 10, 27, tzinfo=UTC)
"""In the days that follow New York and Auckland change their clocks, or have just done."""
LIVES = st.lists(
    st.one_of(st.tuples(st.just("made"), HOURS), st.tuples(st.just("moved"), HOURS, ZONES)), min_size=1, max_size=12
)


def expected(life: list[tuple[Any, ...]]) -> Counter[date]:
    """On which days a person made to-dos, told from the end: all words about their zone are known."""
    moves = [(hours, nr, *zone) for nr, (what, hours, *zone) in enumerate(life) if what == "moved"]
    words = sorted(moves, key=lambda move: move[:2])
    days: Counter[date] = Counter()
    for what, hours, *_ in life:
        if what == "made":
            zone = next((zone for since, _, zone in reversed(words) if since <= hours), None)
            zone = "Asia/Seoul" if zone in {None, "Nowhere/Atall"} else zone
            days[(FIRST + timedelta(hours=hours)).astimezone(ZoneInfo(zone)).date()] += 1
    return days


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(life=LIVES, slices=st.lists(st.integers(1, 4), min_size=1, max_size=4))
async def test_however_late_words_come_and_however_the_archive_is_sliced_days_are_right(
    diary: Diary, life: list[tuple[Any, ...]], slices: list[int]
) -> None:
    me = await diary.register("2026-10-01T00:00")
    for what, hours, *zone in life:
        when = f"{FIRST + timedelta(hours=hours):%Y-%m-%dT%H:%M}"
        await (diary.create(me, when) if what == "made" else diary.move(me, when, zone[0]))
    await diary.build()
    mine = {day: told["created"] for (user, day), told in (await daily(diary)).items() if user == me}
    assert mine == {str(day): count for day, count in expected(life).items()}
    sliced, nr, position, end = await add_build(diary.pool, "actions", 1, "building"), 0, 0, 1
    while position < end:
        position, end = await advance(diary.pool, sliced, slices[nr % len(slices)])
        nr += 1
    rows = await diary.pool.fetch(DIFFERENCES, sliced.id)
    assert rows == []
    await diary.pool.execute("select projections.drop_build($1)", sliced.id)


DIFFERENCES = """
with live as (select id from projections.build where state = 'live' and projection = 'actions'),
one as (select number, event, user_id, kind, wall, delta from projections.action where build = $1),
other as (select number, event, user_id, kind, wall, delta from projections.action where build = (select id from live))
(table one except all table other) union all (table other except all table one)
"""
