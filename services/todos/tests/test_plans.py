"""Every list finds its rows by an index, whoever asks."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from planning import nodes, scans

from events.sql import load
from local.fixtures import DatabaseFactory
from local.layout import REPOSITORY
from todos.tables import SQL, Created, Due, Ranked

FILL = (REPOSITORY / "bench" / "sql" / "fill_todos.sql").read_text()
LOGGED = (REPOSITORY / "bench" / "sql" / "fill_log.sql").read_text()
FIRST = {kind: kind() for kind in (Created, Due, Ranked)}
BOTH, OPEN = [False, True], [False]
LATE = FIRST[Created].at
AT_ONCE = datetime(2030, 12, 1, 9, tzinfo=UTC)
QUERIES: dict[str, tuple[str, list[Any]]] = {
    "newest": (SQL.list_by_created, [BOTH, LATE, FIRST[Created].id, 21, None, None, None]),
    "open": (SQL.list_by_created, [OPEN, LATE, FIRST[Created].id, 21, None, None, None]),
    "overdue": (SQL.list_by_created, [OPEN, LATE, FIRST[Created].id, 21, None, LATE, None]),
    "search": (SQL.list_by_created, [BOTH, LATE, FIRST[Created].id, 21, None, None, "%c4ca42%"]),
    "due": (SQL.list_by_due, [BOTH, "0001-01-01T00:00:00+00:00", FIRST[Due].id, 21, None, None, None, None]),
    "priority": (SQL.list_by_priority, [BOTH, [1, 2, 3, 4, 5], 0, LATE, FIRST[Ranked].id, 21, None, None, None]),
    "deleted": (SQL.list_deleted, [BOTH, LATE, FIRST[Created].id, 21, None, None, None, None]),
    "count": (SQL.count_todos, [BOTH, None, None, None, None, 10_001]),
    "count of deleted": (SQL.count_deleted, [BOTH, None, None, None, None, 10_001]),
    "quota": (SQL.count_kept, [10_000]),
}


@pytest.mark.timeout(600)
async def test_every_list_is_read_by_an_index_that_begins_with_its_person(
    database: DatabaseFactory, full: bool
) -> None:
    made = database("todos")
    connection = await asyncpg.connect(made.owner_url, server_settings={"plan_cache_mode": "force_custom_plan"})
    try:
        await connection.execute("set statement_timeout = 0; set transaction_timeout = 0")
        await connection.execute(FILL, *((1_000_000, 10_000) if full else (20_000, 200)), timeout=300)
        await connection.execute("vacuum analyze todo", timeout=120)
        for name, (query, values) in QUERIES.items():
            for person in await people(connection):
                asked = [person] if name == "quota" else person
                text = await connection.fetchval(f"explain (format json) {query}", asked, *values)
                used = scans(json.loads(text)[0]["Plan"])
                assert used, name
                assert used <= {"todo_created", "todo_due", "todo_priority", "todo_deleted", "todo_search"}, name
    finally:
        await connection.close()


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_page_of_an_export_reads_of_each_kind_no_more_than_it_may_have(
    database: DatabaseFactory, mode: str
) -> None:
    """Or all pages together would take as long as their number squared: also of what is deleted."""
    connection = await asyncpg.connect(database("todos").owner_url, server_settings={"plan_cache_mode": mode})
    try:
        await connection.execute(FILL, 20_000, 200)
        await connection.execute("vacuum analyze todo")
        [person, _] = await people(connection)
        await connection.execute(f"prepare asked as {SQL.export_todos}")
        asked = f"execute asked ('{person}', 50, '-infinity', '{UUID(int=0)}')"
        text = await connection.fetchval(f"explain (analyze, format json) {asked}")
    finally:
        await connection.close()
    read = [(each.get("Index Name"), each["Actual Rows"]) for each in tables(json.loads(text)[0]["Plan"])]
    assert [name for name, _ in read] == ["todo_created", "todo_created", "todo_deleted_created"]
    assert all(0 < rows <= 50 for _, rows in read), read


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_page_of_the_events_about_a_person_reads_no_other_event(database: DatabaseFactory, mode: str) -> None:
    connection = await asyncpg.connect(database("todos").owner_url, server_settings={"plan_cache_mode": mode})
    try:
        await connection.execute("set statement_timeout = 0")
        await connection.execute(LOGGED, 20_000, 20)
        await connection.execute("vacuum analyze events.log")
        person = await connection.fetchval("select subject from events.log limit 1")
        await connection.execute(f"prepare asked as {load('events').export_events}")
        text = await connection.fetchval(f"explain (analyze, format json) execute asked ('{person}', 100, 5000)")
    finally:
        await connection.close()
    read = [(each.get("Index Name"), each["Actual Rows"]) for each in tables(json.loads(text)[0]["Plan"])]
    assert read == [("log_subject", 100)]


def tables(plan: Any) -> Iterator[Any]:
    """The parts of a plan that read a table or an index."""
    if "Relation Name" in plan or "Index Name" in plan:
        yield plan
    for child in plan.get("Plans", []):
        yield from tables(child)


async def people(connection: asyncpg.Connection) -> list[UUID]:
    """The one with a tenth of all to-dos, and another."""
    rows = await connection.fetch("select user_id from todo group by 1 order by count(*) desc limit 2")
    assert len(rows) == 2
    return [row["user_id"] for row in rows]


@pytest.mark.parametrize("query", ["due_alarms", "long_deleted"])
async def test_the_clock_finds_its_work_by_an_index(database: DatabaseFactory, query: str) -> None:
    """Also where thousands are due at one moment: no page sorts them."""
    connection = await asyncpg.connect(database("todos").owner_url)
    try:
        await connection.execute(FILL, 20_000, 200)
        await connection.execute("update todo set alarm_at = $1, updated_at = $1", AT_ONCE)
        await connection.execute("analyze todo")
        look = f"explain (format json) {getattr(SQL, query)}"
        text = await connection.fetchval(look, LATE, 200, AT_ONCE, FIRST[Due].id)
    finally:
        await connection.close()
    plan = json.loads(text)[0]["Plan"]
    assert scans(plan) <= {"todo_alarm_in_order", "todo_purge_in_order"}
    assert not {each["Node Type"] for each in nodes(plan)} & {"Sort", "Incremental Sort"}
