"""A person's activity over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest

from activity.api import ROUTES, Activity
from activity.tables import NewEntry, add_entries
from api.app import create_app
from api.testing import People, serving
from events.envelope import Envelope
from events.health import Health
from events.ids import uuid7
from events.postgres import open_pool
from local.fixtures import DatabaseFactory

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
TODO = {"todo_id": str(UUID(int=1)), "title": "우유 사기", "priority": 3, "completed": False}


@dataclass
class Service:
    http: httpx.AsyncClient
    pool: asyncpg.Pool
    people: People
    me: UUID

    async def get(self, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get(path, headers=self.people.headers(self.me) | named)

    async def happened(self, action: str, seq: int, *, to: UUID | None = None) -> None:
        envelope = Envelope(
            id=uuid7(),
            type="",
            source="/todos",
            subject=to or self.me,
            time=NOW + timedelta(seconds=seq),
            seq=seq,
            aggregate=uuid4(),
            version=1,
            correlation_id="",
            causation_id="",
            actor="",
        )
        async with self.pool.acquire() as connection:
            await add_entries(connection, "TODOS", [NewEntry(envelope, action, msgspec.json.encode(TODO).decode())])

    async def heard(self, seq: int) -> None:
        await self.pool.execute("insert into events.checkpoint values ('activity', 'TODOS', $1)", seq)


@pytest.fixture
async def activity(database: DatabaseFactory) -> AsyncIterator[Service]:
    people = People()
    async with await open_pool(database("activity").url, application="activity") as pool:
        parts = {"activity": Activity(pool)}
        app = create_app(title="Activity", routes=ROUTES, health=Health(), guard=people.guard, parts=parts)
        async with serving(app) as http:
            yield Service(http, pool, people, uuid4())


async def test_a_person_reads_own_entries_newest_first_page_by_page(activity: Service) -> None:
    await activity.happened("todo_created", 9, to=uuid4())
    for seq in range(1, 6):
        await activity.happened("todo_created", seq)
    path, seen = "/activity/?limit=2", []
    while path:
        answer = await activity.get(path)
        seen.append([entry["at"] for entry in answer.json()["data"]])
        path = answer.links["next"]["url"] if answer.json()["next_cursor"] else ""
    assert seen == [[f"2026-11-23T09:00:0{n}Z" for n in page] for page in ((5, 4), (3, 2), (1,))]


async def test_an_entry_tells_what_happened(activity: Service) -> None:
    await activity.happened("todo_created", 1)
    [entry] = (await activity.get("/activity")).json()["data"]
    assert entry == {"id": entry["id"], "action": "todo_created", "details": TODO, "at": "2026-11-23T09:00:01Z"}


async def test_the_log_can_be_narrowed_to_one_action(activity: Service) -> None:
    await activity.happened("todo_created", 1)
    await activity.happened("todo_toggled", 2)
    for query, actions in (("todo_toggled", ["todo_toggled"]), ("", ["todo_toggled", "todo_created"])):
        answer = await activity.get(f"/activity/?action={query}&limit=&cursor=")
        assert [entry["action"] for entry in answer.json()["data"]] == actions


@pytest.mark.parametrize(("query", "status"), [("action=flew", 422), ("limit=101", 422), ("cursor=x", 400)])
async def test_a_bad_parameter_is_refused(activity: Service, query: str, status: int) -> None:
    assert (await activity.get(f"/activity?{query}")).status_code == status


async def test_nobody_gets_in_without_a_token(activity: Service) -> None:
    assert (await activity.http.get("/activity/")).status_code == 401


async def test_a_read_waits_for_the_position_that_it_names(activity: Service) -> None:
    asked = asyncio.create_task(activity.get("/activity", x_min_position="TODOS:1"))
    await asyncio.wait([asked], timeout=0.2)
    assert not asked.done()
    await activity.happened("todo_created", 1)
    await activity.heard(1)
    assert len((await asked).json()["data"]) == 1


@pytest.mark.parametrize(("position", "status"), [("TODOS:2", 503), ("NOWHERE:1", 400), ("x", 400)])
async def test_a_position_that_does_not_come_is_refused(activity: Service, position: str, status: int) -> None:
    await activity.heard(1)
    answer = await activity.get("/activity", x_min_position=position)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)
