"""Editing, deleting, restoring, undoing; what was, and who did it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from todoing import Service, running

from local.fixtures import DatabaseFactory
from todos import writing
from todos.tables import count_kept

SEOUL = {"due_at": "2030-12-01T09:00:00+09:00", "due_zone": "Asia/Seoul"}


async def test_an_edit_changes_what_is_there_and_its_event_says_no_more(todos: Service) -> None:
    todo = await todos.create(description="a", priority=2)
    answer = await todos.do(todo, "edit", {"title": "빵", "priority": 2, "description": None})
    body = answer.json()
    assert (answer.status_code, body["message_key"], answer.headers["etag"]) == (200, "todo.updated", '"2"')
    assert body["data"] == todo | {
        "title": "빵",
        "description": None,
        "version": 2,
        "updated_at": body["data"]["updated_at"],
    }
    event = (await todos.log())[-1]
    assert (event["type"], event["data"]) == (
        "todos.TodoEdited.v1",
        f'{{"todo_id":"{todo["id"]}","title":"빵","description":null}}',
    )


async def test_an_edit_of_nothing_is_no_event(todos: Service) -> None:
    todo = await todos.create()
    for body in ({}, {"title": todo["title"]}):
        assert await todos.done(todo, "edit", body) == todo
    assert await todos.types() == ["Created"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": None}, "title"),
        ({"title": " "}, "title"),
        ({"priority": 0}, "priority"),
        ({"due_zone": "Mars/Olympus"}, "due_zone"),
        ({"due_zone": "../../etc/passwd"}, "due_zone"),
        ({"due_zone": "localtime"}, "due_zone"),
        ({"recurrence": "FREQ=DAILY"}, "due_at"),
        ({**SEOUL, "recurrence": "FREQ=NEVER"}, "recurrence"),
        ({"due_zone": "Asia/Seoul", "due_at": "0001-01-01T00:00:00Z", "recurrence": "FREQ=DAILY"}, "due_at"),
    ],
)
async def test_an_edit_to_what_cannot_be_is_refused(todos: Service, body: dict[str, Any], field: str) -> None:
    todo = await todos.create()
    for method, path in (("PATCH", f"/todos/{todo['id']}"), ("POST", "/todos")):
        sent = body if method == "PATCH" else {"title": "a"} | body
        answer = await todos.http.request(method, path, json=sent, headers=todos.as_(todos.me))
        assert answer.status_code == 422, answer.text
        assert field in {error["field"] for error in answer.json()["errors"]}
    assert await todos.types() == ["Created"]


async def test_a_deleted_to_do_is_gone_until_it_is_restored(todos: Service) -> None:
    todo = await todos.create()
    deleted = await todos.done(todo, "delete")
    assert deleted["deleted_at"] == deleted["updated_at"]
    for act, body in (("edit", {"title": "b"}), ("toggle", None), ("delete", None)):
        assert (await todos.do(todo, act, body)).status_code == 404
    assert (await todos.get(f"/todos/{todo['id']}")).status_code == 404
    assert (await todos.titles(), await todos.titles("deleted=true")) == ([], [todo["title"]])
    restored = await todos.done(todo, "restore")
    assert restored == todo | {"version": 3, "updated_at": restored["updated_at"]}
    assert (await todos.done(todo, "restore"))["version"] == 3
    assert (await todos.titles(), await todos.titles("deleted=true")) == ([todo["title"]], [])


async def test_every_change_can_be_undone_and_undone_again(todos: Service) -> None:
    todo = await todos.create(title="a", **SEOUL)
    changes: list[tuple[str, Any]] = [
        ("edit", {"title": "b", "due_at": None}),
        ("toggle", None),
        ("delete", None),
    ]

    async def state() -> tuple[Any, ...]:
        found = await todos.get(f"/todos/{todo['id']}")
        if found.status_code == 404:
            return ("gone",)
        data = found.json()["data"]
        return tuple(data[name] for name in ("title", "due_at", "due_zone", "completed"))

    for act, body in changes:
        before = await state()
        await todos.done(todo, act, body)
        after = await state()
        assert after != before
        await todos.done(todo, "undo")
        assert await state() == before
        await todos.done(todo, "undo")
        assert await state() == after


async def test_undoing_the_first_event_deletes_and_that_can_be_undone(todos: Service) -> None:
    todo = await todos.create()
    assert (await todos.done(todo, "undo"))["deleted_at"]
    assert (await todos.done(todo, "undo"))["deleted_at"] is None


async def test_what_the_clock_said_is_not_undone(todos: Service) -> None:
    todo = await todos.create(due_at="2020-01-01T00:00:00Z")
    await todos.done(todo, "edit", {"title": "b"})
    await todos.alarms.ring(10)
    assert (await todos.done(todo, "undo"))["title"] == todo["title"]
    assert await todos.types() == ["Created", "Edited", "Overdue", "Edited"]


async def test_an_undo_that_is_sent_again_with_its_key_happens_once(todos: Service) -> None:
    todo = await todos.create()
    await todos.done(todo, "toggle")
    first, second = [await todos.do(todo, "undo", idempotency_key="k") for _ in range(2)]
    assert (first.content, second.headers["idempotency-replayed"]) == (second.content, "true")
    assert first.json()["data"]["completed"] is False


@pytest.mark.parametrize("act", ["edit", "delete", "restore", "undo"])
async def test_a_write_happens_once_under_its_key_and_only_on_its_version(todos: Service, act: str) -> None:
    todo = await todos.create()
    if act == "restore":
        todo = await todos.done(todo, "delete")
    body = {"title": "b"} if act == "edit" else None
    stale = await todos.do(todo, act, body, if_match='"9"')
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    match = f'"{todo["version"]}"'
    first, second = [await todos.do(todo, act, body, idempotency_key="k", if_match=match) for _ in range(2)]
    assert (first.status_code, second.content) == (200, first.content)
    assert len(await todos.log()) == todo["version"] + 1


async def test_the_past_can_be_read_at_any_moment(todos: Service) -> None:
    todo = await todos.create(title="1")
    versions = [todo, *[await todos.done(todo, "edit", {"title": title}) for title in ("2", "3")]]
    gone = await todos.done(todo, "delete")
    for version in versions:
        answer = await todos.get(f"/todos/{todo['id']}?at={version['updated_at']}")
        assert (answer.json()["data"], answer.headers["etag"]) == (version, f'"{version["version"]}"')
    before = datetime.fromisoformat(todo["created_at"]) - timedelta(microseconds=1)
    for moment in (before.isoformat().replace("+00:00", "Z"), gone["updated_at"]):
        assert (await todos.get(f"/todos/{todo['id']}?at={moment}")).status_code == 404
    assert (await todos.get(f"/todos/{todo['id']}?at=yesterday")).status_code == 422
    for moment in ("2026-12-01T00:00:00", "0001-01-01T00:00:00%2B14:00"):
        refused = await todos.get(f"/todos/{todo['id']}?at={moment}")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "at")


async def test_the_history_tells_who_changed_what_in_words_and_data(todos: Service) -> None:
    todo = await todos.create(title="a", due_at="2020-01-01T00:00:00Z")
    await todos.done(todo, "edit", {"title": "b", "priority": 1})
    await todos.done(todo, "toggle")
    await todos.done(todo, "toggle")
    await todos.alarms.ring(10)
    await todos.done(todo, "delete")
    entries = (await todos.get(f"/todos/{todo['id']}/history", accept_language="ko")).json()["data"]
    assert [entry["action"] for entry in entries] == [
        "deleted",
        "overdue",
        "reopened",
        "completed",
        "edited",
        "created",
    ]
    assert [entry["version"] for entry in entries] == [6, 5, 4, 3, 2, 1]
    assert {entry["by"] for entry in entries} == {str(todos.me), None}
    assert (entries[1]["by"], entries[1]["words"]) == (None, "b 기한 초과")
    assert entries[4]["changes"] == [
        {"field": "title", "from": "a", "to": "b"},
        {"field": "priority", "from": 3, "to": 1},
    ]
    english = (await todos.get(f"/todos/{todo['id']}/history?limit=2", accept_language="en")).json()
    assert [entry["words"] for entry in english["data"]] == ["Deleted “b”", "“b” is overdue"]
    rest = (await todos.get(f"/todos/{todo['id']}/history?limit=9&cursor={english['next_cursor']}")).json()
    assert ([entry["version"] for entry in rest["data"]], rest["next_cursor"]) == ([4, 3, 2, 1], None)


async def test_the_history_tells_of_fields_that_a_to_do_has(todos: Service) -> None:
    todo = await todos.create(recurrence="FREQ=DAILY", **SEOUL)
    await todos.done(todo, "edit", {"recurrence": None, "due_at": None})
    entry = (await todos.get(f"/todos/{todo['id']}/history")).json()["data"][0]
    assert {change["field"] for change in entry["changes"]} == {"recurrence", "due_at"}
    assert {change["field"] for change in entry["changes"]} <= todo.keys()


async def test_the_history_of_anothers_is_not_found(todos: Service) -> None:
    todo = await todos.create(by=uuid4())
    for path in ("/history", "?at=2030-01-01T00:00:00Z"):
        assert (await todos.get(f"/todos/{todo['id']}{path}")).status_code == 404
    for act in ("edit", "delete", "restore", "undo"):
        assert (await todos.do(todo, act, {"title": "b"})).status_code == 404


async def test_completing_a_recurring_to_do_makes_the_next_one(todos: Service) -> None:
    todo = await todos.create(title="약", recurrence="freq=daily", remind_minutes_before=5, **SEOUL)
    done = await todos.done(todo, "toggle")
    following = (await todos.get(f"/todos/{done['next_id']}")).json()["data"]
    assert following == following | {
        "title": "약",
        "completed": False,
        "due_at": "2030-12-02T00:00:00Z",
        "recurrence": "FREQ=DAILY",
        "remind_minutes_before": 5,
        "continues": todo["id"],
        "version": 1,
    }
    assert await todos.types() == ["Created", "Toggled", "Created"]


async def test_reopening_takes_the_next_one_back_and_completing_brings_it_again(todos: Service) -> None:
    todo = await todos.create(recurrence="FREQ=DAILY", **SEOUL)
    next_id = (await todos.done(todo, "toggle"))["next_id"]
    for act in ("toggle", "undo"):
        await todos.done(todo, act)
        assert (await todos.get(f"/todos/{next_id}")).status_code == 404
        await todos.done(todo, act)
        assert (await todos.get(f"/todos/{next_id}")).status_code == 200
    await todos.done({"id": next_id}, "edit", {"title": "mine now"})
    for _ in ("reopened", "completed"):
        await todos.done(todo, "toggle")
        assert (await todos.get(f"/todos/{next_id}")).status_code == 200
    assert await todos.pool.fetchval("select count(*) from todo") == 2


@pytest.mark.parametrize("what", ["moved", "late", "purged", "ended"])
async def test_completed_once_more_it_goes_on_by_what_it_is_then(todos: Service, what: str) -> None:
    todo = await todos.create(title="약", recurrence="FREQ=DAILY", **SEOUL)
    first = (await todos.done(todo, "toggle"))["next_id"]
    await todos.done(todo, "toggle")
    if what == "moved":
        changes = {"title": "산책", "recurrence": "FREQ=WEEKLY", "due_at": "2030-12-25T09:00:00+09:00"}
        await todos.done(todo, "edit", changes)
    elif what == "late":
        todos.watch.set(datetime.fromisoformat("2030-12-24T12:00:00+09:00"))
    elif what == "purged":
        todos.watch.ahead = timedelta(days=31)
        await todos.alarms.purge(100)
    else:
        await todos.done(todo, "edit", {"recurrence": None})
    again = (await todos.done(todo, "toggle"))["next_id"]
    assert (await todos.get(f"/todos/{first}")).status_code == 404
    if what == "ended":
        return
    following = (await todos.get(f"/todos/{again}")).json()["data"]
    assert datetime.fromisoformat(following["due_at"]) > todos.watch()
    if what == "moved":
        assert (following["title"], following["due_at"]) == ("산책", "2031-01-01T00:00:00Z")


async def test_a_recurrence_that_has_ended_makes_nothing(todos: Service) -> None:
    todo = await todos.create(recurrence="FREQ=DAILY;COUNT=2", **SEOUL)
    second = (await todos.done(todo, "toggle"))["next_id"]
    assert (await todos.done({"id": second}, "toggle"))["next_id"] is None


async def test_moving_the_deadline_moves_what_recurs(todos: Service) -> None:
    todo = await todos.create(recurrence="FREQ=WEEKLY", **SEOUL)
    moved = await todos.done(todo, "edit", {"due_at": "2030-12-03T09:00:00+09:00"})
    following = await todos.get(f"/todos/{(await todos.done(moved, 'toggle'))['next_id']}")
    assert following.json()["data"]["due_at"] == "2030-12-10T00:00:00Z"


async def test_who_has_as_many_as_they_may_keep_is_told_so_and_can_make_room(database: DatabaseFactory) -> None:
    async with running(database("todos").url, quota=3) as todos:
        kept = [await todos.create() for _ in range(3)]
        headers = todos.as_(todos.me, idempotency_key="k")
        full = await todos.http.post("/todos", json={"title": "a"}, headers=headers)
        assert (full.status_code, full.json()["code"]) == (409, "todo.quota_reached")
        await todos.create(by=uuid4())
        await todos.done(kept[0], "delete")
        first, again = [await todos.http.post("/todos", json={"title": "a"}, headers=headers) for _ in range(2)]
        assert (first.status_code, again.content) == (201, first.content)


async def test_who_is_waited_for_by_many_is_counted_once(
    database: DatabaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = list[list[UUID]]()

    async def noted(pool: asyncpg.Pool, most: int, people: Sequence[UUID]) -> list[int]:
        counted.append(sorted(set(people)))
        return await count_kept(pool, most, people)

    monkeypatch.setattr(writing, "count_kept", noted)
    async with running(database("todos").url, quota=100) as todos:
        other = uuid4()
        await asyncio.gather(*(todos.create(by=person) for person in [todos.me, other] * 10))
    assert sum(map(len, counted)) <= 4, "and not once for each of twenty"


@pytest.mark.parametrize("act", ["restore", "undo"])
async def test_what_is_brought_back_counts_as_kept_again(database: DatabaseFactory, act: str) -> None:
    async with running(database("todos").url, quota=2) as todos:
        gone, _ = await todos.create(), await todos.create()
        await todos.done(gone, "delete")
        other = await todos.create()
        full = await todos.do(gone, act)
        assert (full.status_code, full.json()["code"]) == (409, "todo.quota_reached")
        await todos.done(other, "delete")
        first, again = [await todos.do(gone, act, idempotency_key="k") for _ in range(2)]
        assert (first.status_code, again.content) == (200, first.content)
        assert await todos.titles() == ["우유 사기"] * 2


async def test_a_title_may_hold_what_a_format_would_trip_over(todos: Service) -> None:
    todo = await todos.create(title="{title} {0} %s")
    [entry] = (await todos.get(f"/todos/{todo['id']}/history")).json()["data"]
    assert entry["words"] == "Created “{title} {0} %s”"
    assert UUID(entry["by"]) == todos.me
