"""A simulated month, heard as it comes: every figure equals one that DuckDB counts from the month's own file."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bench.lives import Happening
from bench.month import events_of, month, write
from bench.recomputed import differences, recomputed, shown
from reporting import Diary, keeping

from activity.tables import erase_archive, erase_entries, erase_known_todos, erase_person, erase_projections
from events.broker import Broker
from events.eraser import Eraser
from local.fixtures import DatabaseFactory

SEED, EVENTS, AT_ONCE = 1, 3_000, 150
STEPS = [erase_person, erase_entries, erase_known_todos, erase_archive, erase_projections]


@pytest.fixture
async def diary(database: DatabaseFactory) -> AsyncIterator[Diary]:
    async with keeping(database("activity").url) as kept:
        yield kept


@pytest.fixture(scope="module")
def told() -> list[Happening]:
    return month(SEED, EVENTS)


async def erase(diary: Diary) -> None:
    await Eraser(diary.pool, Broker("nats://127.0.0.1:1", name="activity"), [], STEPS).erase_rows()


async def test_all_figures_of_a_month_equal_an_independent_recomputation(
    diary: Diary, told: list[Happening], tmp_path: Path
) -> None:
    events = list(events_of(told))
    for nr, begin in enumerate(range(0, EVENTS, AT_ONCE)):
        await diary.take(events[begin : begin + AT_ONCE])
        if nr % 4 == 0:
            await diary.build()
            await erase(diary)
    await diary.build()
    await erase(diary)
    write(told, tmp_path / "month.parquet")
    expected = recomputed(tmp_path / "month.parquet", EVENTS)
    told_of = {name: await shown(diary.pool, name) for name in expected}
    assert {name: found for name, found in differences(told_of, expected).items() if found} == {}
    assert min(len(rows) for rows in expected.values()) > 10
    moved = await diary.pool.fetchval("select count(*) from projections.action where delta < 0")
    assert moved > 0, "no word about a zone came late: nothing is shown of these"


def test_a_month_holds_what_makes_figures_hard(told: list[Happening]) -> None:
    count = Counter(each.what for each in told)
    assert min(count[what] for what in ("erased", "moved", "reopened", "restored", "overdue", "rejected")) > 0
    assert {each.outcome for each in told} > {"sent", "expired", "unknown", "refused"}
    assert month(SEED, EVENTS) == told, "the same seed is the same month"
    assert month(SEED + 1, EVENTS) != told
