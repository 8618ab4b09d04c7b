"""What is kept of a person goes with them, and is gone once they left: each table that names one, and all of it."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from notifying import World, completed
from providing import Browser

from events.catalog.auth import UserErased
from local.fixtures import until

TABLES = """
select table_name, array_agg(column_name::text) as columns from information_schema.columns
where table_schema = 'public' group by table_name
"""
NO_PERSON = {"number_asked"}
"""Tables that know nobody."""
PARTS = {
    "delivery": "deliveries",
    "device": "devices",
    "inbox": "inbox",
    "notification": "notifications",
    "phone_challenge": "phone_codes",
    "preference": "preferences",
    "ticket": "tickets",
}
"""Under which name each table is in an export."""
LEFT_OUT = {
    "ticket": {"hash"},
    "delivery": {"attempts", "correlation_id", "due_at", "lease_until", "token", "traceparent"},
}
"""What is in none: what opens a connection; how work is done and traced."""


async def kept_of(world: World) -> set[str]:
    """The tables that name a person."""
    tables = await world.pool.fetch(TABLES)
    return {row["table_name"] for row in tables if "user_id" in row["columns"]}


async def count(world: World, table: str, who: UUID) -> int:
    rows: int = await world.pool.fetchval(f"select count(*) from {table} where user_id = $1", who)
    return rows


async def lives_here(world: World, *people: UUID) -> None:
    """Each has something in every table that names a person."""
    for nr, who in enumerate(people):
        headers = world.people.headers(who)
        choice = {"kinds": {"completion": {"sms": True}}}
        await world.http.patch("/notifications/preferences", json=choice, headers=headers)
        browser = {"service": "web", "endpoint": f"{world.web_push}/{who}", "keys": Browser().keys}
        await world.http.post("/notifications/devices", json=browser, headers=headers)
        await world.http.post("/notifications/phone", json={"phone_number": f"+82101234567{nr}"}, headers=headers)
        await world.ticket(who)
        await world.say("TODOS", completed(), to=who)
    settled = "select count(*) from delivery where settled_at is not null"

    async def done() -> bool:
        return bool(await world.pool.fetchval(settled) == 2 * len(people))

    async with world.hearing():
        await until(done, within=20)
    for table in await kept_of(world):
        assert [await count(world, table, who) > 0 for who in people] == [True] * len(people), table


async def rows_of(world: World, table: str, who: UUID) -> list[dict[str, Any]]:
    """What a table holds of a person and is to be exported."""
    unsaid = {"user_id", *LEFT_OUT.get(table, ())}
    rows = await world.pool.fetch(f"select row_to_json(t)::text from {table} t where user_id = $1", who)
    return [{name: value for name, value in json.loads(row[0]).items() if name not in unsaid} for row in rows]


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


async def test_given_something_in_every_table_when_a_person_exports_then_all_of_it_is_there_and_nothing_of_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.exports.PAGE", 1)  # each list has more than a page
    me, other = uuid4(), uuid4()
    await lives_here(world, me, other)
    exported = await world.get("/notifications/export", me)
    assert exported.status_code == 200, exported.text
    parts = exported.json()["data"]
    assert len(parts.pop("events")) == 2  # what became of the deliveries
    assert await kept_of(world) == set(PARTS), "a table that names a person is to be exported"
    assert set(parts) == set(PARTS.values())
    for table, part in PARTS.items():
        there = parts[part] if isinstance(parts[part], list) else [parts[part]]
        assert in_order(there) == in_order(await rows_of(world, table, me)), table


async def test_given_something_in_every_table_when_a_person_is_erased_then_none_of_it_is_left_and_all_of_others(
    world: World,
) -> None:
    me, other = uuid4(), uuid4()
    await lives_here(world, me, other)
    tables = await kept_of(world)
    before = {table: await count(world, table, other) for table in tables}
    async with world.hearing():
        await world.say("AUTH", UserErased(user_id=me), to=me)
        done = "select count(*) from events.erasure where erased_at is not null"
        await until(lambda: world.pool.fetchval(done))
    assert {table: await count(world, table, me) for table in tables} == dict.fromkeys(tables, 0)
    assert {table: await count(world, table, other) for table in tables} == before


async def test_given_the_tables_when_one_names_no_person_then_it_is_known_to_know_nobody(world: World) -> None:
    everything = {row["table_name"] for row in await world.pool.fetch(TABLES)}
    assert everything - await kept_of(world) == NO_PERSON
