"""What the service's clock says, and what it lets go."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
import structlog
from prometheus_client import REGISTRY
from todoing import Service, running

from local.fixtures import DatabaseFactory
from todos.alarms import Alarms
from todos.tables import TodoRow, todos_by_id
from todos.verify import mend, verify

STRAY = """
    insert into todo select (json_populate_record(t, json_build_object('id', uuidv7()))).* from todo t limit 1
    returning id
"""
BEHIND = "update todo set version = version - 1 where id = any($1)"
NOON = datetime.fromisoformat("2030-12-01T12:00:00+00:00")
DUE = {"due_at": "2030-12-01T12:00:00Z", "remind_minutes_before": 30}


async def test_reminders_and_deadlines_are_told_once_by_however_many_clocks(todos: Service) -> None:
    for n in range(20):
        await todos.create(title=f"{n}", **DUE)
    others = [Alarms(todos.events, todos.pool, todos.watch) for _ in range(3)]
    for minutes, said in ((-31, {}), (-29, {"DueSoon": 20}), (1, {"DueSoon": 20, "Overdue": 20})):
        todos.watch.set(NOON + timedelta(minutes=minutes))
        await asyncio.gather(*(clock.ring(100) for clock in (todos.alarms, *others)))
        types = await todos.types()
        assert {kind: types.count(kind) for kind in set(types) - {"Created"}} == said
    event = (await todos.log())[-1]
    assert event["actor"] == "clock"
    assert '"due_at":"2030-12-01T12:00:00Z"' in event["data"]


async def test_what_was_slept_through_is_told_as_overdue_alone(todos: Service) -> None:
    for n in range(5):
        await todos.create(title=f"{n}", **DUE)
    todos.watch.set(NOON + timedelta(days=3))
    assert await todos.alarms.ring(3) == 5
    assert await todos.alarms.ring(3) == 0
    assert (await todos.types()).count("Overdue") == 5
    assert "DueSoon" not in await todos.types()


async def test_what_cannot_be_said_keeps_nothing_else_from_being_said(database: DatabaseFactory) -> None:
    """Rows of a restored database that nobody mended yet: each write is refused, for their events say more."""
    made = database("todos")
    async with running(made.url) as todos:
        due = [await todos.create(title=f"{n}", **DUE) for n in range(3)]
        deleted = [await todos.create() for _ in range(3)]
        for todo in deleted:
            await todos.done(todo, "delete")
        owner = await asyncpg.connect(made.owner_url)
        try:
            await owner.execute(BEHIND, [UUID(todo["id"]) for todo in (*due[:2], *deleted[:2])])
            todos.watch.set(NOON + timedelta(days=40))
            async with asyncio.timeout(10):
                assert [await todos.alarms.ring(2) for _ in range(2)] == [1, 0]
                assert [await todos.alarms.purge(2) for _ in range(2)] == [1, 0]
            assert (await todos.types())[-2:] == ["Overdue", "Purged"]
            await mend(owner)
        finally:
            await owner.close()
        assert [await todos.alarms.ring(2), await todos.alarms.purge(2)] == [2, 2]


async def test_what_cannot_be_said_is_tried_once_and_told_of_once(database: DatabaseFactory) -> None:
    made = database("todos")
    async with running(made.url) as todos:
        due = [await todos.create(title=f"{n}", **DUE) for n in range(3)]
        owner = await asyncpg.connect(made.owner_url)
        try:
            await owner.execute(BEHIND, [UUID(todo["id"]) for todo in due])
        finally:
            await owner.close()
        todos.watch.set(NOON)
        before = refused()
        with structlog.testing.capture_logs() as logs:
            for _ in range(4):
                assert await todos.alarms.ring(2) == 0
        assert refused() - before == 3
        assert [(entry["log_level"], entry["count"]) for entry in logs] == [("warning", 3)]


def refused() -> float:
    return REGISTRY.get_sample_value("todo_append_commands_total", {"feed": "TODOS", "outcome": "stale"}) or 0.0


async def test_an_edited_deadline_is_followed(todos: Service) -> None:
    todo = await todos.create(**DUE)
    await todos.done(todo, "edit", {"due_at": "2030-12-02T12:00:00Z"})
    todos.watch.set(NOON + timedelta(minutes=1))
    assert await todos.alarms.ring(100) == 0
    todos.watch.set(NOON + timedelta(days=1, minutes=-1))
    assert await todos.alarms.ring(100) == 1
    assert (await todos.types())[-1] == "DueSoon"


async def test_a_to_do_that_was_deleted_30_days_ago_is_purged(todos: Service) -> None:
    todo, young = await todos.create(), await todos.create()
    await todos.done(todo, "delete")
    todos.watch.ahead = timedelta(days=2)
    await todos.done(young, "delete")
    todos.watch.ahead = timedelta(days=31)
    assert await todos.alarms.purge(100) == 1
    assert await todos.alarms.purge(100) == 0
    assert (await todos.types())[-1] == "Purged"
    for act in ("restore", "undo"):
        assert (await todos.do(todo, act)).status_code == 404
    assert (await todos.get(f"/todos/{todo['id']}/history")).status_code == 404
    assert (await todos.done(young, "restore"))["deleted_at"] is None


async def test_every_row_is_what_its_events_say_and_one_that_is_not_is_named(todos: Service) -> None:
    made = [await todos.create(**DUE) for _ in range(3)]
    await todos.done(made[0], "toggle")
    await todos.done(made[1], "delete")
    todos.watch.set(NOON)
    await todos.alarms.ring(100)
    async with todos.pool.acquire() as connection:
        verdict = await verify(connection)
    assert (verdict.compared, verdict.differing) == (3, [])


async def test_rows_that_a_restored_database_lacks_are_written_from_their_events(database: DatabaseFactory) -> None:
    """The log has its tail again, the rows are of before; somebody else's row was never said."""
    made = database("todos")
    async with running(made.url) as todos:
        older, younger, same = await todos.create(**DUE), await todos.create(title="b"), await todos.create()
        deleted = await todos.create()
        await todos.done(deleted, "delete")
        before = await todos.pool.fetch("select * from todo order by id")
        owner, runtime = await asyncpg.connect(made.owner_url), await asyncpg.connect(made.url)
        try:
            await owner.execute("update todo set deleted = false, version = 1 where id = $1", UUID(deleted["id"]))
            await owner.execute("delete from todo where id = $1", UUID(younger["id"]))
            await owner.execute("update todo set version = 0, due_at = null where id = $1", UUID(older["id"]))
            await owner.fetchval(STRAY)
            assert await mend(owner) == 4
            assert (await verify(owner)).differing == []
            assert await todos.pool.fetch("select * from todo order by id") == before
            assert await mend(owner) == 0
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await mend(runtime)
        finally:
            await owner.close()
            await runtime.close()
        for todo in (older, younger, same):
            await todos.done(todo, "toggle")


async def test_to_compare_and_to_mend_takes_as_long_as_it_takes(
    database: DatabaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[str] = []

    async def asked(connection: asyncpg.Connection, ids: list[UUID]) -> dict[UUID, TodoRow]:
        limits.append(await connection.fetchval("show transaction_timeout"))
        return await todos_by_id(connection, ids)

    monkeypatch.setattr("todos.verify.todos_by_id", asked)
    made = database("todos")
    async with running(made.url) as todos:
        await todos.create()
    for url, work in ((made.url, verify), (made.owner_url, mend)):
        connection = await asyncpg.connect(url)
        try:
            assert await connection.fetchval("show transaction_timeout") != "0"
            await work(connection)
        finally:
            await connection.close()
    assert limits == ["0", "0"]


async def test_a_row_that_somebody_changed_by_hand_is_named(database: DatabaseFactory) -> None:
    made = database("todos")
    async with running(made.url) as todos:
        todo, _ = await todos.create(), await todos.create()
        owner = await asyncpg.connect(made.owner_url)
        try:
            await owner.execute("update todo set title = 'b' where id = $1", UUID(todo["id"]))
            stray = await owner.fetchval(STRAY)
            assert (await verify(owner)).differing == [UUID(todo["id"]), stray]
        finally:
            await owner.close()
