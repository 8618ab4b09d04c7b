"""What holds while parts of the system are away, and when they come back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import httpx
import pytest

import system
from local.fixtures import until
from system import Person, System

SERVICES = ("auth", "todos", "mailer", "activity", "notifier")


@pytest.fixture(scope="module")
def shaken() -> Iterator[System]:
    """A stack that these tests break and mend."""
    with system.system() as started:
        yield started


@pytest.fixture(autouse=True)
async def _well(shaken: System) -> None:
    await shaken.ready(*SERVICES)


async def test_without_nats_nothing_is_refused_and_everything_arrives_later(shaken: System) -> None:
    async with shaken.person() as me:
        with shaken.without("nats"):
            for number in range(10):
                await me.create(str(number))
            assert len((await me.http.get("/todos/")).json()["data"]) == 10
            assert (await me.http.post("/users/request-otp", json={"email": me.email})).status_code == 200

            async def told() -> bool:
                state = await shaken.readiness("todos")
                return (state["status"], state["relay TODOS"]) == (200, "late")

            await until(told)
        await me.did(*["todo_created"] * 10, within=20)
        assert len(await until(lambda: _two(shaken, me), within=20)) == 2


def _two(shaken: System, me: Person) -> list[object]:
    letters = me.codes()
    return list(letters) if len(letters) == 2 else []


async def test_a_broker_that_hangs_holds_up_nothing_but_delivery(shaken: System) -> None:
    async with shaken.person() as me:
        with shaken.hung("nats"):
            for number in range(10):
                await me.create(str(number))

            async def told() -> bool:
                return (await shaken.readiness("todos"))["relay TODOS"] == "late"

            await until(told, within=15)
        await me.did(*["todo_created"] * 10, within=10)


async def test_without_postgres_a_request_is_told_when_to_come_back_and_then_served(shaken: System) -> None:
    async with shaken.person() as me:
        before = [shaken.pid(service) for service in SERVICES]
        with shaken.without("postgres"):
            for method, path in (("POST", "/todos/"), ("GET", "/todos/"), ("GET", "/activity/")):
                refused = await me.http.request(method, path, json={"title": "a"} if method == "POST" else None)
                assert (refused.status_code, refused.json()["code"]) in {(503, "unavailable"), (503, "outcome_unknown")}
                assert int(refused.headers["retry-after"]) >= 1

            async def told() -> bool:
                states = [await shaken.readiness(service) for service in ("todos", "activity")]
                return [state["status"] for state in states] == [503, 503]

            await until(told)
        await shaken.ready(*SERVICES)
        await me.create("after")
        actions = await until(lambda: _created(me), within=20)
        assert set(actions) == {"todo_created"}
        assert before == [shaken.pid(service) for service in SERVICES]


async def _created(me: Person) -> list[str]:
    return (await me.actions())[2:]


async def test_an_unknown_outcome_is_settled_by_the_same_key(shaken: System) -> None:
    async with shaken.person() as me:
        headers = {"Idempotency-Key": str(uuid4())}
        async with _appends_held_up(shaken):
            unknown = await me.http.post("/todos/", json={"title": "a"}, headers=headers)
        assert (unknown.status_code, unknown.json()["code"]) == (503, "outcome_unknown")
        answers = [await me.create("a", **headers) for _ in range(3)]
        assert {answer.headers.get("idempotency-replayed") for answer in answers} == {"true"}, "the first try was made"
        assert len({answer.content for answer in answers}) == 1
        query = "select aggregate from events.log where subject = $1::text::uuid"
        [logged] = await shaken.rows("todos", query, me.id)
        assert str(logged["aggregate"]) == answers[0].json()["data"]["id"]
        await me.did("todo_created", within=20)


@asynccontextmanager
async def _appends_held_up(world: System) -> AsyncIterator[None]:
    """Whatever the to-do service appends was sent and waits meanwhile."""
    connection = await asyncpg.connect(world.stack.details["postgres"]["todos_owner"])
    try:
        async with connection.transaction():
            await connection.execute("select from events.feed where name = 'TODOS' for update")
            yield
    finally:
        await connection.close()


@pytest.mark.parametrize("part", ["nats", "todos", "activity", "mailer", "auth", "postgres"])
async def test_a_kill_loses_no_answered_write_and_doubles_none(shaken: System, part: str) -> None:
    async with shaken.person() as me:
        created: list[str] = []
        stop = asyncio.Event()

        async def work() -> None:
            while not stop.is_set():
                try:
                    key = {"Idempotency-Key": str(uuid4())}
                    answer = await me.http.post("/todos/", json={"title": "a"}, headers=key)
                except httpx.TransportError:
                    continue
                if answer.status_code == 201:
                    created.append(answer.json()["data"]["id"])

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(work())
            await until(lambda: len(created) > 50)
            shaken.kill(part)
            more = len(created) + 100
            await until(lambda: len(created) > more, within=30)
            stop.set()
        await shaken.ready(*SERVICES)
        assert len(set(created)) == len(created)
        query = "select aggregate from events.log where subject = $1::text::uuid"
        logged = [row["aggregate"] for row in await shaken.rows("todos", query, me.id)]
        assert set(created) <= set(map(str, logged))
        query = "select details ->> 'todo_id' as id from entry where user_id = $1 and action = 'todo_created'"

        async def arrived() -> bool:
            return len(await shaken.rows("activity", query, me.id)) >= len(logged)

        await until(arrived, within=20)
        entries = [row["id"] for row in await shaken.rows("activity", query, me.id)]
        assert sorted(entries) == sorted(map(str, logged))


async def test_a_stream_that_was_deleted_is_repaired_under_the_same_numbers(shaken: System) -> None:
    async with shaken.person() as me:
        await me.create()
        await me.did("todo_created")
        async with shaken.jetstream() as js:
            await js.delete_stream("TODOS")

            async def told() -> bool:
                return (await shaken.readiness("todos"))["relay TODOS"] == "failed"

            await until(told)
            await me.create()
            configuration = {"name": "TODOS", "subjects": ["ev.todos.>"], "discard": "new", "deny_purge": True}
            await js.add_stream(**configuration)
        await me.did("todo_created", "todo_created", within=20)
        assert await shaken.value("activity", "select count(*) - count(distinct (feed, seq)) from archive") == 0
