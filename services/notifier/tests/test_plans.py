"""What is asked for every batch of events finds its rows by an index, whatever the planner knows of the tables.

A scan of what grows costs each event more than the last one: 6 of the 11 seconds that the database worked in a minute
of 500 notifications a second went into a join that read all of them.
"""

from collections.abc import Iterator
from typing import Any, Final

import asyncpg
import msgspec
import pytest

from local.fixtures import DatabaseFactory
from notifier.tables import SQL

PEOPLE: Final = 2_000
"""So few that a scan looks cheap."""
FILLED: Final = """
with people as (
    insert into inbox (user_id, last_number) select uuidv7(), 1 from generate_series(1, $1) returning user_id
)
insert into notification (user_id, number, id, kind, data, at, silent, heard_at)
select user_id, 1, uuidv7(), 'completion', '{}', now(), false, now() from people
"""


@pytest.mark.parametrize(
    "name",
    [
        "audience",
        "add_notifications",
        "news",
        "preferences",
        "queue_deliveries",
        "expire_stale",
        "use_ticket",
        "standing",
    ],
)
async def test_no_table_is_scanned_for_an_event_or_a_socket(database: DatabaseFactory, name: str) -> None:
    connection = await asyncpg.connect(database("notifier").owner_url)
    try:
        await connection.execute(FILLED, PEOPLE)
        await connection.execute("analyze inbox, notification")
        await connection.execute(f"set plan_cache_mode = force_generic_plan; prepare asked as {getattr(SQL, name)}")
        types = await connection.fetchval("select parameter_types from pg_prepared_statements where name = 'asked'")
        nulls = ", ".join("null" for _ in types)
        (plan,) = msgspec.json.decode(await connection.fetchval(f"explain (format json) execute asked({nulls})"))
    finally:
        await connection.close()
    scanned = [each["Relation Name"] for each in _nodes(plan["Plan"]) if each["Node Type"] == "Seq Scan"]
    assert scanned == []


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)
