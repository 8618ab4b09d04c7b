"""What is asked for every batch of events finds its rows by an index, whatever the planner knows of the tables.

A scan of what grows costs each event more than the last one: 6 of the 11 seconds that the database worked in a minute
of 500 notifications a second went into a join that read all of them. What is asked for page by page finds each page by
an index that has it in order.
"""

from typing import Final

import asyncpg
import msgspec
import pytest
from planning import nodes, read_whole

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
DELIVERED: Final = """
with told as (
    select
        n, md5('person ' || case when n % 2 = 0 then 0 else n % 200 end)::uuid as person,
        now() - make_interval(secs => n) as at
    from generate_series(1, 20000) as n
), delivered as (
    insert into delivery (
        id, state, channel, device_id, user_id, cause, kind, data, correlation_id, traceparent, happened_at, settled_at
    )
    select uuidv7(), 'sent', 'push', person, person, uuidv7(), 'completion', '{}', '', '', at, now() from told
)
insert into notification (user_id, number, id, kind, data, at, silent, heard_at)
select person, n, uuidv7(), 'completion', '{}', at, false, at from told
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
        "sms_before",
        "wake_deliveries",
        "erase_deliveries",
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
    assert read_whole(plan["Plan"]) == set()


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize(
    ("name", "place", "index"),
    [
        ("export_deliveries", "now() - interval '2 h', '00000000-0000-0000-0000-000000000000'", "delivery_of_person"),
        ("export_notifications", "10000", "notification_pkey"),
    ],
)
async def test_a_page_of_an_export_reads_no_other_row_of_its_person(
    database: DatabaseFactory, name: str, place: str, index: str, mode: str
) -> None:
    """Or all pages together would take as long as their number squared."""
    connection = await asyncpg.connect(database("notifier").owner_url, server_settings={"plan_cache_mode": mode})
    try:
        await connection.execute(DELIVERED)
        await connection.execute("vacuum analyze delivery, notification")
        await connection.execute(f"prepare asked as {getattr(SQL, name)}")
        asked = f"execute asked (md5('person 0')::uuid, 100, {place})"
        (plan,) = msgspec.json.decode(await connection.fetchval(f"explain (analyze, format json) {asked}"))
    finally:
        await connection.close()
    scans = [each for each in nodes(plan["Plan"]) if "Relation Name" in each or "Index Name" in each]
    assert [(each.get("Index Name"), each["Actual Rows"]) for each in scans] == [(index, 100)]
