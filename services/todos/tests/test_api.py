"""To-dos over HTTP: what clients rely on. Over real PostgreSQL, without NATS: the API needs none."""

import asyncio
from uuid import UUID, uuid4

import pytest
from todoing import Service


async def test_a_created_to_do_is_answered_whole_and_where_it_is(todos: Service) -> None:
    answer = await todos.http.post("/todos/", json={"title": " 우유 사기 "}, headers=todos.as_(todos.me))
    body = answer.json()
    assert (answer.status_code, body["message_key"], body["message"]) == (
        201,
        "todo.created",
        "Todo created successfully",
    )
    todo = body["data"]
    assert UUID(todo["id"]).version == 7
    assert todo == todo | {
        "title": " 우유 사기 ",
        "description": None,
        "priority": 3,
        "completed": False,
        "due_at": None,
        "remind_minutes_before": None,
        "version": 1,
    }
    assert answer.headers["location"] == f"/todos/{todo['id']}"
    assert (answer.headers["etag"], answer.headers["x-event-position"]) == ('"1"', "TODOS:1")
    found = await todos.http.get(answer.headers["location"], headers=todos.as_(todos.me))
    assert (found.json()["data"], found.headers["etag"]) == (todo, '"1"')


async def test_the_event_tells_who_did_it_and_which_request(todos: Service) -> None:
    await todos.http.post("/todos", json={"title": "a"}, headers=todos.as_(todos.me, x_request_id="r-1"))
    [event] = await todos.log()
    assert (event["type"], event["subject"], event["actor"]) == ("todos.TodoCreated.v1", todos.me, str(todos.me))
    assert (event["correlation_id"], event["causation_id"]) == ("r-1", "r-1")


async def test_every_bad_field_is_named(todos: Service) -> None:
    bad = {
        "title": " \n",
        "description": "x" * 10_001,
        "priority": 6,
        "due_at": "2026-12-01T09:00:00",
        "remind_minutes_before": -1,
    }
    answer = await todos.http.post("/todos", json=bad, headers=todos.as_(todos.me))
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == set(bad)


@pytest.mark.parametrize("due_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_moment_outside_the_calendar_is_refused(todos: Service, due_at: str) -> None:
    answer = await todos.http.post("/todos", json={"title": "a", "due_at": due_at}, headers=todos.as_(todos.me))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "due_at")


@pytest.mark.parametrize("due_at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-12-01T09:00:00+09:00"])
async def test_a_due_moment_is_kept_and_told_in_utc(todos: Service, due_at: str) -> None:
    todo = await todos.create(due_at=due_at)
    assert str(todo["due_at"]).endswith("Z")
    found = await todos.http.get(f"/todos/{todo['id']}", headers=todos.as_(todos.me))
    assert found.json()["data"] == todo


async def test_toggling_answers_the_whole_to_do_with_its_new_version(todos: Service) -> None:
    todo = await todos.create(priority=1)
    for version, completed in ((2, True), (3, False)):
        answer = await todos.http.patch(f"/todos/{todo['id']}/toggle", headers=todos.as_(todos.me))
        assert answer.status_code == 200
        data = answer.json()["data"]
        times = {"updated_at": data["updated_at"], "completed_at": data["updated_at"] if completed else None}
        assert data == todo | {"completed": completed, "version": version} | times
        assert (answer.headers["etag"], answer.headers["x-event-position"]) == (f'"{version}"', f"TODOS:{version}")
        found = await todos.http.get(f"/todos/{todo['id']}/", headers=todos.as_(todos.me))
        assert found.json()["data"] == data


async def test_a_toggle_tolerates_a_body(todos: Service) -> None:
    todo = await todos.create()
    answer = await todos.http.patch(f"/todos/{todo['id']}/toggle", json={"a": 1}, headers=todos.as_(todos.me))
    assert answer.status_code == 200


async def test_another_persons_to_do_is_not_found(todos: Service) -> None:
    todo = await todos.create(by=uuid4())
    for path in (f"/todos/{todo['id']}", f"/todos/{uuid4()}", "/todos/1"):
        assert (await todos.http.get(path, headers=todos.as_(todos.me))).status_code == 404
        assert (await todos.http.patch(f"{path}/toggle", headers=todos.as_(todos.me))).status_code == 404


async def test_nobody_gets_in_without_a_token(todos: Service) -> None:
    for method, path in (("POST", "/todos"), ("GET", "/todos"), ("GET", f"/todos/{uuid4()}")):
        assert (await todos.http.request(method, path, json={"title": "a"})).status_code == 401


async def test_parallel_toggles_all_happen_one_after_another(todos: Service) -> None:
    todo = await todos.create()
    path, headers = f"/todos/{todo['id']}/toggle", todos.as_(todos.me)
    await asyncio.gather(*(todos.http.get(f"/todos/{todo['id']}", headers=headers) for _ in range(8)))  # connections
    answers = await asyncio.gather(*(todos.http.patch(path, headers=headers) for _ in range(4)))
    assert sorted(answer.json()["data"]["version"] for answer in answers) == [2, 3, 4, 5]


async def test_if_match_refuses_a_toggle_of_an_older_version(todos: Service) -> None:
    todo = await todos.create()
    path = f"/todos/{todo['id']}/toggle"
    first = await todos.http.patch(path, headers=todos.as_(todos.me, if_match='"1"'))
    second = await todos.http.patch(path, headers=todos.as_(todos.me, if_match='"1"'))
    assert (first.status_code, second.status_code, second.json()["code"]) == (200, 412, "stale")


@pytest.mark.parametrize("condition", [{}, {"if_match": '"1"'}])
async def test_a_repeated_toggle_gets_the_first_answer_and_happens_once(
    todos: Service, condition: dict[str, str]
) -> None:
    todo = await todos.create()
    path, headers = f"/todos/{todo['id']}/toggle", todos.as_(todos.me, idempotency_key="k", **condition)
    first, second = [await todos.http.patch(path, headers=headers) for _ in range(2)]
    assert (second.status_code, second.content) == (200, first.content)
    assert second.headers["idempotency-replayed"] == "true"
    for name in ("etag", "x-event-position"):
        assert second.headers[name] == first.headers[name]
    assert len(await todos.log()) == 2


async def test_a_repeated_create_makes_one_to_do(todos: Service) -> None:
    headers = todos.as_(todos.me, idempotency_key="k")
    first, second = [await todos.http.post("/todos", json={"title": "a"}, headers=headers) for _ in range(2)]
    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["location"] == first.headers["location"]
    other = await todos.http.post("/todos", json={"title": "b"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert len(await todos.log()) == 1


async def test_a_list_shows_own_to_dos_newest_first_page_by_page(todos: Service) -> None:
    await todos.create(by=uuid4())
    titles = [f"{n}" for n in range(5)]
    for title in titles:
        await todos.create(title=title)
    path, seen = "/todos/?limit=2", []
    while path:
        answer = await todos.http.get(path, headers=todos.as_(todos.me))
        body = answer.json()
        seen.append([todo["title"] for todo in body["data"]])
        assert (body["next_cursor"] is None) == ("link" not in answer.headers)
        path = answer.links["next"]["url"] if "link" in answer.headers else ""
    assert seen == [["4", "3"], ["2", "1"], ["0"]]


async def test_a_list_can_be_narrowed_to_open_or_completed_ones(todos: Service) -> None:
    done, _ = await todos.create(title="done"), await todos.create(title="open")
    await todos.http.patch(f"/todos/{done['id']}/toggle", headers=todos.as_(todos.me))
    for value, titles in (("true", ["done"]), ("false", ["open"]), ("", ["open", "done"])):
        answer = await todos.http.get(f"/todos?completed={value}", headers=todos.as_(todos.me))
        assert [todo["title"] for todo in answer.json()["data"]] == titles


@pytest.mark.parametrize(
    ("query", "status"), [("limit=0", 422), ("limit=101", 422), ("cursor=x", 400), ("completed=maybe", 422)]
)
async def test_a_bad_list_parameter_is_refused(todos: Service, query: str, status: int) -> None:
    assert (await todos.http.get(f"/todos?{query}", headers=todos.as_(todos.me))).status_code == status


async def test_answers_speak_the_language_that_was_asked_for(todos: Service) -> None:
    headers = todos.as_(todos.me, accept_language="ko")
    answer = await todos.http.post("/todos", json={"title": "a"}, headers=headers)
    assert answer.json()["message"] == "할 일이 생성되었습니다"
