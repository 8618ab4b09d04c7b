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
from reporting import PARK

from activity.api import ROUTES, Activity
from activity.tables import NewEntry, add_entries, drop_months, open_months
from api.app import create_app
from api.testing import People, serving
from events.envelope import Envelope
from events.health import Health
from events.ids import uuid7
from events.postgres import open_pool
from local.fixtures import DatabaseFactory

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
TODO: dict[str, object] = {"todo_id": str(UUID(int=1)), "title": "우유 사기", "priority": 3, "completed": False}


@dataclass
class Service:
    http: httpx.AsyncClient
    pool: asyncpg.Pool
    people: People
    me: UUID

    async def get(self, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get(path, headers=self.people.headers(self.me) | named)

    async def happened(
        self,
        action: str,
        seq: int,
        *,
        to: UUID | None = None,
        todo: dict[str, object] = TODO,
        at: datetime | None = None,
    ) -> None:
        envelope = Envelope(
            id=uuid7(),
            type="",
            source="/todos",
            subject=to or self.me,
            time=at or NOW + timedelta(seconds=seq),
            seq=seq,
            aggregate=uuid4(),
            version=1,
            correlation_id="",
            causation_id="",
            actor="",
        )
        async with self.pool.acquire() as connection:
            await add_entries(connection, "TODOS", [NewEntry(envelope, action, msgspec.json.encode(todo).decode())])

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
    event = {"feed": "TODOS", "seq": 1}
    assert entry == {"id": entry["id"], "action": "todo_created", "details": TODO, "at": "2026-11-23T09:00:01Z"} | event


async def test_the_log_can_be_narrowed_to_one_action(activity: Service) -> None:
    await activity.happened("todo_created", 1)
    await activity.happened("todo_toggled", 2)
    for query, actions in (("todo_toggled", ["todo_toggled"]), ("", ["todo_toggled", "todo_created"])):
        answer = await activity.get(f"/activity/?action={query}&limit=&cursor=")
        assert [entry["action"] for entry in answer.json()["data"]] == actions


async def test_the_log_can_be_narrowed_to_a_to_do_and_a_time(activity: Service) -> None:
    other = TODO | {"todo_id": str(UUID(int=2))}
    for seq, todo in enumerate((TODO, other, TODO), start=1):
        await activity.happened("todo_created", seq, todo=todo)
    queries = {
        f"todo_id={UUID(int=1)}": [3, 1],
        "since=2026-11-23T09:00:02Z": [3, 2],
        "until=2026-11-23T18:00:02%2B09:00": [1],
        f"since=2026-11-23T09:00:02Z&todo_id={UUID(int=2)}": [2],
    }
    for query, seqs in queries.items():
        answer = await activity.get(f"/activity?{query}")
        assert [entry["seq"] for entry in answer.json()["data"]] == seqs


async def test_an_operator_reads_everybodys_entries_and_nobody_else_does(activity: Service) -> None:
    other = uuid4()
    await activity.happened("todo_created", 1)
    await activity.happened("todo_toggled", 2, to=other)
    assert (await activity.get("/activity/everyone")).status_code == 403
    operator = activity.people.headers(uuid4(), roles=["operator"])
    answer = await activity.http.get("/activity/everyone?limit=1", headers=operator)
    assert [entry["user_id"] for entry in answer.json()["data"]] == [str(other)]
    answer = await activity.http.get(answer.links["next"]["url"], headers=operator)
    assert [entry["user_id"] for entry in answer.json()["data"]] == [str(activity.me)]
    answer = await activity.http.get(f"/activity/everyone?user_id={other}", headers=operator)
    assert [entry["action"] for entry in answer.json()["data"]] == ["todo_toggled"]


async def test_entries_are_kept_by_month_and_go_by_month(activity: Service) -> None:
    for seq, days in enumerate((-200, -130, 0, 40)):
        await activity.happened("todo_created", seq, at=NOW + timedelta(days=days))
    months = "select tableoid::regclass::text as month from entry order by at"
    await open_months(activity.pool, lambda: NOW, 1)
    found = [row["month"] for row in await activity.pool.fetch(months)]
    assert found == ["entry_2026_05", "entry_2026_07", "entry_2026_11", "entry_2027_01"]
    assert await drop_months(activity.pool, lambda: NOW, 100, 1) == 2
    assert [entry["seq"] for entry in (await activity.get("/activity")).json()["data"]] == [3, 2]
    assert await drop_months(activity.pool, lambda: NOW, 100, 1) == 0


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("action=flew", 422),
        ("limit=101", 422),
        ("cursor=x", 400),
        ("since=yesterday", 422),
        ("until=2026-11-23T09:00", 422),
    ],
)
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


async def test_a_position_is_not_reached_before_what_is_parked_of_its_person_is_applied(activity: Service) -> None:
    await activity.heard(5)
    await activity.pool.execute(PARK, 3, activity.me)
    for position, status in (("TODOS:2", 200), ("TODOS:3", 503)):
        assert (await activity.get("/activity", x_min_position=position)).status_code == status
    await activity.pool.execute("update events.parked set key = gen_random_uuid()")
    assert (await activity.get("/activity", x_min_position="TODOS:3")).status_code == 200


@pytest.mark.parametrize(("position", "status"), [("TODOS:2", 503), ("NOWHERE:1", 400), ("x", 400)])
async def test_a_position_that_does_not_come_is_refused(activity: Service, position: str, status: int) -> None:
    await activity.heard(1)
    answer = await activity.get("/activity", x_min_position=position)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)
