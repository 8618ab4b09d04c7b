"""Operators look at what a consumer could not apply, have it tried again or give it up; nobody else may."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from api.app import create_app
from api.parked import parked_routes
from api.testing import People, serving
from events.health import Health
from events.postgres import open_pool
from local.fixtures import DatabaseFactory

ME, OTHER, OPERATOR = uuid4(), uuid4(), uuid4()
PARK = """
insert into events.parked (consumer, feed, seq, key, type, headers, data, reason, detail, stack, attempts)
values ('activity', 'TODOS', $1, $2, 'todos.TodoToggled.v1', '{"ce-id": "1"}', $3, $4, 'a rule', 'here', 1)
"""
LATER = {"act": "redrive", "why": "mended"}


@pytest.fixture
async def pool(database: DatabaseFactory) -> AsyncIterator[asyncpg.Pool]:
    """Of activity: my 3 and 5, the second behind the first, and somebody else's 4."""
    async with await open_pool(database().url, application="parked") as pool:
        for seq, key, data, reason in (
            (3, ME, b'{"title": "\xff"}', "rejected"),
            (4, OTHER, b"{}", "failed"),
            (5, ME, b"{}", "behind"),
        ):
            await pool.execute(PARK, seq, key, data, reason)
        yield pool


@pytest.fixture
async def client(pool: asyncpg.Pool) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's."""
    people = People()
    app = create_app(
        title="t", routes=parked_routes("/activity", "activity", pool), health=Health(), guard=people.guard, parts={}
    )
    async with serving(app) as client:
        client.headers.update(people.headers(OPERATOR, roles=["operator"]))
        yield client


async def asked(client: httpx.AsyncClient, **wanted: Any) -> httpx.Response:
    return await client.post("/activity/acts", json=LATER | wanted)


async def due(pool: asyncpg.Pool) -> list[int]:
    """What an act is about."""
    return [row["seq"] for row in await pool.fetch("select seq from events.parked where act is not null order by seq")]


async def test_a_person_without_the_role_is_refused(pool: asyncpg.Pool) -> None:
    people = People()
    routes = parked_routes("/activity", "activity", pool)
    async with serving(create_app(title="t", routes=routes, health=Health(), guard=people.guard, parts={})) as client:
        client.headers.update(people.headers(ME, roles=["analyst"]))
        answers = [
            await client.get(path) for path in ("/activity/parked", "/activity/parked/TODOS/3", "/activity/acts")
        ]
        answers.append(await asked(client, all=True))
        del client.headers["authorization"]
        answers.append(await asked(client, all=True))
    assert [answer.status_code for answer in answers] == [403] * 4 + [401]
    assert await due(pool) == []


async def test_what_is_parked_is_listed_in_order_and_by_what_is_asked_for(client: httpx.AsyncClient) -> None:
    async def seqs(**terms: Any) -> list[int]:
        listed = await client.get("/activity/parked", params=terms)
        return [row["seq"] for row in listed.json()["data"]]

    assert await seqs() == [3, 4, 5]
    assert await seqs(key=str(ME)) == [3, 5]
    assert await seqs(reason="failed") == [4]
    assert await seqs(feed="AUTH") == []
    assert await seqs(limit=1) == [3]
    assert (await client.get("/activity/parked", params={"reason": "sad"})).status_code == 422


async def test_one_is_shown_with_what_it_says(client: httpx.AsyncClient) -> None:
    shown = await client.get("/activity/parked/TODOS/3")
    told = shown.json()["data"]
    assert (told["data"], told["headers"], told["stack"]) == ('{"title": "\\xff"}', {"ce-id": "1"}, "here")
    assert shown.headers["cache-control"] == "no-store"
    assert (await client.get("/activity/parked/TODOS/9")).status_code == 404
    assert (await client.get(f"/activity/parked/TODOS/{2**63}")).status_code == 404
    assert (await client.get("/activity/parked/TODOS/first")).status_code == 404


async def test_a_rehearsal_tells_how_many_and_does_nothing(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    assert (await asked(client, all=True, dry_run=True)).json()["data"] == {"id": None, "events": 2}
    assert await due(pool) == []
    assert (await client.get("/activity/acts")).json()["data"] == []


async def test_an_act_is_about_what_was_chosen_and_kept_with_who_and_why(
    client: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    acted = (await asked(client, key=str(ME), events_max=10, per_second=2)).json()["data"]
    assert acted["events"] == 1
    assert await due(pool) == [3]
    [act] = (await client.get("/activity/acts")).json()["data"]
    assert (act["id"], act["who"], act["why"], act["what"]) == (acted["id"], str(OPERATOR), "mended", "redrive")
    assert act["under_way"] == 1


async def test_what_is_given_up_is_noted(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    assert (await asked(client, act="discard", feed="TODOS", seq=4)).json()["data"]["events"] == 1
    assert [row["seq"] for row in await pool.fetch("select seq from events.parked order by seq")] == [3, 5]
    assert [row["seq"] for row in await pool.fetch("select seq from events.discarded")] == [4]


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"all": True, "feed": "TODOS"},
        {"seq": 3},
        {"all": True, "why": " "},
        {"all": True, "why": "x" * 1001},
        {"all": True, "events_max": 0},
        {"all": True, "per_second": 0},
        {"all": True, "act": "forget"},
        {"all": True, "reason": "sad"},
        {"everything": True},
        {"all": True, "events_max": 2**63},
        {"feed": "TODOS", "seq": 2**63},
    ],
)
async def test_what_is_not_understood_does_nothing(
    client: httpx.AsyncClient, pool: asyncpg.Pool, wanted: dict[str, Any]
) -> None:
    assert (await asked(client, **wanted)).status_code == 422
    assert await due(pool) == []


async def test_nothing_of_the_kind_is_an_act_about_nothing(client: httpx.AsyncClient) -> None:
    key: UUID = uuid4()
    assert (await asked(client, key=str(key))).json()["data"]["events"] == 0
