"""Incremental sync: who was away catches up in one call."""

from datetime import timedelta
from uuid import uuid4

from todoing import Service


async def test_a_client_that_was_away_hears_of_every_change_once(todos: Service) -> None:
    kept, gone = await todos.create(title="kept"), await todos.create(title="gone")
    start = (await todos.get("/todos/changes")).json()["data"]
    assert start == {"position": 2, "more": False, "changes": []}
    await todos.create(by=uuid4())
    new = await todos.create(title="new")
    for _ in range(3):
        changed = await todos.done(kept, "toggle")
    await todos.done(gone, "delete")
    news = (await todos.get("/todos/changes?since=2")).json()["data"]
    assert news == {
        "position": 8,
        "more": False,
        "changes": [
            {"id": new["id"], "position": 4, "todo": new},
            {"id": kept["id"], "position": 7, "todo": changed},
            {"id": gone["id"], "position": 8, "todo": None},
        ],
    }
    assert (await todos.get("/todos/changes?since=8")).json()["data"]["changes"] == []


async def test_a_purged_to_do_is_told_of_as_gone(todos: Service) -> None:
    todo = await todos.create()
    await todos.done(todo, "delete")
    todos.watch.ahead = timedelta(days=31)
    assert await todos.alarms.purge(10) == 1
    todos.watch.ahead = timedelta()
    news = (await todos.get("/todos/changes?since=1")).json()["data"]
    assert news["changes"] == [{"id": todo["id"], "position": 3, "todo": None}]


async def test_who_was_away_too_long_is_told_to_start_anew(todos: Service) -> None:
    await todos.create()
    await todos.create()
    todos.watch.ahead = timedelta(days=31)
    answer = await todos.get("/todos/changes?since=1")
    assert (answer.status_code, answer.json()["code"]) == (410, "sync.too_old")
    assert (await todos.get("/todos/changes?since=2")).status_code == 200  # nothing happened since


async def test_a_position_that_nobody_was_told_is_refused(todos: Service) -> None:
    for since, status in (("1", 400), ("-1", 400), ("x", 422), ("9" * 20, 422), ("0", 200)):
        assert (await todos.get(f"/todos/changes?since={since}")).status_code == status
