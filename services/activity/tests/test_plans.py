"""What is due, and what was done, is found by an index, however many people and entries there are."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import planning
import pytest

from activity.domain import DOINGS
from activity.metrics import METRICS
from activity.projections import PROJECTIONS
from activity.tables import SQL
from api.exports import PAGE, by_time
from local.fixtures import DatabaseFactory
from local.layout import REPOSITORY

FILL = (REPOSITORY / "bench" / "sql" / "fill_activity.sql").read_text()


@pytest.fixture(params=["force_custom_plan", "force_generic_plan"])
async def owner(database: DatabaseFactory, request: pytest.FixtureRequest) -> AsyncIterator[asyncpg.Connection]:
    """A planner that knows the parameters, and one that does not: a kept statement gets either."""
    connection = await asyncpg.connect(
        database("activity").owner_url, server_settings={"plan_cache_mode": request.param}
    )
    try:
        await connection.execute("set statement_timeout = 0; set transaction_timeout = 0")
        yield connection
    finally:
        await connection.close()


async def fill(connection: asyncpg.Connection, entries: int, people: int) -> None:
    await connection.execute(FILL, entries, people, timeout=300)
    await connection.execute("select open_months(now())", timeout=120)
    await connection.execute("vacuum analyze", timeout=120)


async def scans(connection: asyncpg.Connection, query: str, *values: object) -> set[str]:
    """Which indexes a query's plan reads, and which tables without one."""
    text = await connection.fetchval(f"explain (format json) {query}", *values)
    return planning.scans(json.loads(text)[0]["Plan"])


async def test_what_is_due_is_found_by_an_index(owner: asyncpg.Connection, full: bool) -> None:
    await fill(owner, 1_000, 30_000 if full else 10_000)
    now = datetime.now(UTC)
    assert await scans(owner, SQL.is_due, now) == {"open_period_due"}
    parked = {"parked_key", "all of parked"}  # as long as nothing is, it has no page
    assert await scans(owner, SQL.due_periods, now, 200, "activity") <= {"open_period_due", "person_pkey", *parked}


async def test_each_page_of_an_export_is_found_by_the_index_by_person_and_time(
    owner: asyncpg.Connection, full: bool
) -> None:
    """Or all pages together would take as long as their number squared."""
    await fill(owner, 300_000 if full else 40_000, 200)
    person = await owner.fetchval("select user_id from entry group by 1 order by count(*) desc limit 1")
    rows = await owner.fetch("select relname from pg_class where relpages < 10")
    small = {f"{row['relname']}_at_id_idx" for row in rows}
    for place in (by_time("").start, (datetime.now(UTC) - timedelta(days=30), UUID(int=0))):
        found = await scans(owner, SQL.export_entries, person, PAGE, *place)
        assert {name for name in found if name.endswith("_user_id_at_id_idx")}
        assert {name for name in found - small if not name.endswith("_user_id_at_id_idx")} == set()


@pytest.mark.parametrize("people", [200, 10_000])
async def test_the_figures_of_a_batch_are_counted_through_the_index_by_person_and_time(
    owner: asyncpg.Connection, people: int, full: bool
) -> None:
    """Also where a batch is everybody, and their histories are long."""
    await fill(owner, 300_000 if full else 40_000, people)
    now = datetime.now(UTC)
    batch = [row["user_id"] for row in await owner.fetch("select user_id from person limit 200")]
    spans = [[value] * len(batch) for value in ("Asia/Seoul", now - timedelta(7), now, now.date())]
    found = await scans(owner, SQL.tally, batch, *spans, list(DOINGS))
    rows = await owner.fetch("select relname from pg_class where relpages < 10")
    small = {f"all of {row['relname']}" for row in rows}  # a month that has just begun
    assert {name for name in found - small if not name.endswith("_user_id_at_id_idx")} == set(), (
        "of a month with entries"
    )


async def test_no_figures_of_everybody_are_joined_row_by_row_also_where_there_are_no_statistics(
    owner: asyncpg.Connection,
) -> None:
    """A build that was just made has none: its rows are taken for a few, and may be a million."""
    for projection in PROJECTIONS:
        await owner.execute("select projections.add_build($1, 1, 'live')", projection)
    for name in METRICS:
        plan = await owner.fetchval(f"explain (format json) select * from analytics.{name}")
        assert "Nested Loop" not in plan, f"{name}: {plan}"


async def test_what_a_late_word_moves_is_found_by_the_index_also_where_there_are_no_statistics(
    owner: asyncpg.Connection,
) -> None:
    for state in ("live", "building"):
        await owner.execute("select projections.add_build('actions', 1, $1)", state)
    [build] = await owner.fetch("select id from projections.build where state = 'live'")
    found = await scans(owner, SQL.actions_moved, build["id"], 0, 500)
    assert not [name for name in found if name.startswith("all of action")], found
