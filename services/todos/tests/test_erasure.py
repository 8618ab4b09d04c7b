"""Of a person who was erased todos keeps nothing, also of a write that was under way."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import nats as nats_client
import pytest
from nats.js import JetStreamContext

from api.app import create_app
from api.testing import People, serving, weighed
from events import streams
from events.broker import Broker
from events.catalog.auth import UserErased
from events.catalog.feeds import FEEDS
from events.catalog.todos import TodoCreated
from events.catalog.types import TYPES
from events.codec import Codec
from events.command import Change, Context, new_command
from events.consumer import Consumer
from events.envelope import Envelope, subject_of, to_headers
from events.eraser import Eraser
from events.health import Health
from events.ids import uuid7
from events.log import append_last
from events.postgres import dialer, open_pool
from local.fixtures import Database, DatabaseFactory, until
from local.nats import Nats
from todos.consumers import hears
from todos.main import export
from todos.tables import erase_todos, row_after

CODEC = Codec(TYPES)


@pytest.fixture
def own(database: DatabaseFactory) -> Database:
    return database("todos")


@pytest.fixture
async def js(nats: Nats) -> AsyncIterator[JetStreamContext]:
    client = await nats_client.connect(nats.url())
    found = client.jetstream(timeout=2)
    for feed in ("AUTH", "TODOS"):
        await streams.apply(found, FEEDS[feed])
    yield found
    await client.close()


async def write(connection: asyncpg.Connection, person: UUID) -> UUID:
    """Append a to-do of a person as the service does, its row with it."""
    now, todo = datetime.now(UTC), uuid7()
    created = TodoCreated(
        todo_id=todo,
        title="비밀",
        description=None,
        priority=3,
        completed=False,
        due_at=None,
        remind_minutes_before=None,
    )
    row = row_after(None, created, now, person)
    change = Change(aggregate=todo, expected=0, subject=person, events=[created], kind="todo", state=row)
    context = Context(time=now, correlation_id="r", actor=str(person))
    await append_last(connection, "TODOS", new_command(CODEC, context, change))
    return todo


async def say_erased(js: JetStreamContext, person: UUID) -> None:
    envelope = Envelope(
        id=uuid7(),
        type="auth.UserErased.v1",
        source="/auth",
        subject=person,
        time=(await js.stream_info("AUTH")).created,
        seq=1,
        aggregate=person,
        version=2,
        correlation_id="r",
        causation_id="r",
        actor=str(person),
    )
    raw = CODEC.encode(UserErased(user_id=person)).encode()
    await js.publish(subject_of(envelope), raw, headers=to_headers(envelope))


async def test_hearing_of_an_erasure_takes_rows_and_events_of_that_person_alone(
    own: Database, nats: Nats, js: JetStreamContext
) -> None:
    me, other = uuid4(), uuid4()
    dial, broker = dialer(own.url, application="todos"), Broker(nats.url("todos"), name="todos")
    async with await open_pool(own.url, application="todos") as pool, asyncio.TaskGroup() as group:
        async with pool.acquire() as connection:
            for person in (me, other, me):
                await write(connection, person)
        eraser = Eraser(pool, broker, [FEEDS["TODOS"]], [erase_todos])
        consumer = Consumer("todos", hears(eraser.wake), dial, broker, CODEC)
        tasks = [group.create_task(task()) for task in (broker.run, consumer.run, eraser.run)]
        await say_erased(js, me)
        await until(lambda: pool.fetchval("select bool_and(erased_at is not null) from events.erasure"))
        assert [row["user_id"] for row in await pool.fetch("select user_id from todo")] == [other]
        kinds = [row["type"] for row in await pool.fetch("select type from events.log order by seq")]
        assert kinds == ["core.Erased.v1", "todos.TodoCreated.v1", "core.Erased.v1"]
        for task in tasks:
            task.cancel()


async def test_a_write_that_was_under_way_leaves_neither_a_row_nor_an_event(own: Database) -> None:
    me, other = uuid4(), uuid4()
    connection = await asyncpg.connect(own.url)
    await connection.execute("select events.forget($1, $2)", me, uuid4())
    await write(connection, me)
    kept = await write(connection, other)
    assert [row["id"] for row in await connection.fetch("select id from todo")] == [kept]
    kinds = [row["type"] for row in await connection.fetch("select type from events.log order by seq")]
    assert kinds == ["core.Erased.v1", "todos.TodoCreated.v1"]
    await connection.close()


MIXED = """
insert into todo (id, user_id, version, title, priority, completed, deleted, deleted_at, created_at, updated_at)
select
    gen_random_uuid(), $1, 1, 'a', 3, n % 2 = 0, n % 3 = 0, case when n % 3 = 0 then now() end,
    '2026-11-23T09:00Z'::timestamptz + make_interval(mins => n / 7), now()
from generate_series(1, 350) as n
"""
"""Open, done and deleted; seven share each moment."""


async def test_an_export_holds_each_of_many_todos_once_whatever_became_of_it(own: Database) -> None:
    me, people, owner = uuid4(), People(), await asyncpg.connect(own.owner_url)
    for person in (me, uuid4()):
        await owner.execute(MIXED, person)
    rows = await owner.fetch("select id from todo where user_id = $1 order by created_at, id", me)
    await owner.close()
    async with await open_pool(own.url, application="todos") as pool:
        app = create_app(title="To-dos", routes=[export(pool)], health=Health(), guard=people.guard)
        async with serving(app) as http:
            answer = await http.get("/todos/export", headers=people.headers(me))
    assert [todo["id"] for todo in answer.json()["data"]["todos"]] == [str(row["id"]) for row in rows]


LONGEST = """
insert into todo (id, user_id, version, title, description, priority, completed, deleted, created_at, updated_at)
select gen_random_uuid(), $1, 1, 'a', repeat(e'\\x01', 10000), 3, false, false, now() + make_interval(mins => n), now()
from generate_series(1, 300) as n
"""
"""Each is 60 kB of JSON."""


async def test_given_the_longest_todos_when_they_are_exported_then_little_of_them_is_in_memory_at_a_time(
    own: Database,
) -> None:
    me, people, owner = uuid4(), People(), await asyncpg.connect(own.owner_url)
    await owner.execute(LONGEST, me)
    await owner.close()
    async with await open_pool(own.url, application="todos") as pool:
        app = create_app(title="To-dos", routes=[export(pool)], health=Health(), guard=people.guard)
        async with serving(app) as http:
            found = await weighed(http, "/todos/export", people.headers(me))
    assert found.size > 18_000_000
    assert found.peak < 8_000_000, f"{found} of an export"


async def test_an_export_holds_everything_of_the_person_and_nothing_of_others(own: Database) -> None:
    me, other, people = uuid4(), uuid4(), People()
    async with await open_pool(own.url, application="todos") as pool:
        async with pool.acquire() as connection:
            mine = await write(connection, me)
            await write(connection, other)
        app = create_app(title="To-dos", routes=[export(pool)], health=Health(), guard=people.guard)
        async with serving(app) as http:
            answer = await http.get("/todos/export", headers=people.headers(me))
            assert (await http.get("/todos/export")).status_code == 401
            assert "/todos/export" in (await http.get("/openapi.json")).json()["paths"]
    data = answer.json()["data"]
    assert [todo["id"] for todo in data["todos"]] == [str(mine)]
    assert [event["data"]["title"] for event in data["events"]] == ["비밀"]
    assert answer.headers["cache-control"] == "no-store"
