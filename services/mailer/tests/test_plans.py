"""What is asked of a person's letters finds them by an index, page by page in order, whatever the planner knows."""

from typing import Final

import asyncpg
import msgspec
import pytest
from planning import nodes, read_whole

from local.fixtures import DatabaseFactory
from mailer.tables import SQL

FILLED: Final = """
insert into letter (id, state, kind, cause, subject, correlation_id, traceparent, happened_at, message_id, settled_at)
select
    uuidv7(), 'sent', 'completion', uuidv7(), md5('person ' || case when n % 2 = 0 then 0 else n % 200 end)::uuid,
    '', '', now() - make_interval(secs => n), '', now()
from generate_series(1, 20000) as n
"""
PAGE: Final = (
    "execute asked (md5('person 0')::uuid, 100, now() - interval '2 h', '00000000-0000-0000-0000-000000000000')"
)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_page_of_letters_reads_no_other_letter_of_its_person(database: DatabaseFactory, mode: str) -> None:
    """Or all pages together would take as long as their number squared."""
    connection = await asyncpg.connect(database("mailer").owner_url, server_settings={"plan_cache_mode": mode})
    try:
        await connection.execute(FILLED)
        await connection.execute("vacuum analyze letter")
        await connection.execute(f"prepare asked as {SQL.export_letters}")
        (plan,) = msgspec.json.decode(await connection.fetchval(f"explain (analyze, format json) {PAGE}"))
    finally:
        await connection.close()
    scans = [each for each in nodes(plan["Plan"]) if "Relation Name" in each or "Index Name" in each]
    assert [(each.get("Index Name"), each["Actual Rows"]) for each in scans] == [("letter_of_person", 100)]


@pytest.mark.parametrize("name", ["erase_letters", "look_again"])
async def test_what_becomes_of_a_persons_letters_is_found_by_an_index(database: DatabaseFactory, name: str) -> None:
    connection = await asyncpg.connect(database("mailer").owner_url)
    try:
        await connection.execute(FILLED)
        await connection.execute("vacuum analyze letter")
        await connection.execute(f"set plan_cache_mode = force_generic_plan; prepare asked as {getattr(SQL, name)}")
        (plan,) = msgspec.json.decode(await connection.fetchval("explain (format json) execute asked (null, null)"))
    finally:
        await connection.close()
    assert read_whole(plan["Plan"]) == set()
