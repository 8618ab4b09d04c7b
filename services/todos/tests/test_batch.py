"""Many commands in one request, each with a result of its own."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from todoing import Service

from todos import batch
from todos.tables import TodoRow
from todos.writing import Todos, own


async def send(todos: Service, *commands: dict[str, Any], key: str | None = None) -> list[dict[str, Any]]:
    headers = todos.as_(todos.me) | ({"idempotency-key": key} if key else {})
    answer = await todos.http.post("/todos/batch", json={"commands": commands}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_each_command_has_its_own_result_in_its_place(todos: Service) -> None:
    todo = await todos.create()
    results = await send(
        todos,
        {"op": "create", "todo": {"title": "a"}},
        {"op": "toggle", "id": todo["id"]},
        {"op": "edit", "id": todo["id"], "changes": {"title": "b"}, "version": 2},
        {"op": "edit", "id": todo["id"], "changes": {"title": "c"}, "version": 2},
        {"op": "undo", "id": todo["id"]},
        {"op": "delete", "id": str(uuid4())},
        {"op": "delete", "id": todo["id"]},
        {"op": "restore", "id": todo["id"]},
        {"op": "create", "todo": {"title": "d", "recurrence": "FREQ=DAILY"}},
    )
    assert [result["status"] for result in results] == [201, 200, 200, 412, 200, 404, 200, 200, 422]
    assert results[0]["body"]["message_key"] == "todo.created"
    assert results[3]["body"]["code"] == "stale"
    assert results[7]["body"]["data"]["title"] == todo["title"]
    assert results[8]["body"]["errors"][0]["field"] == "due_at"
    assert await todos.titles() == ["a", todo["title"]]


async def test_a_batch_that_is_sent_again_goes_on_where_it_was_cut_off(todos: Service) -> None:
    todo = await todos.create()
    commands = [{"op": "toggle", "id": todo["id"]} for _ in range(3)]
    first = await send(todos, *commands, key="k")
    await todos.pool.execute("select 1")
    assert await send(todos, *commands, key="k") == first
    assert [result["body"]["data"]["version"] for result in first] == [2, 3, 4]
    headers = todos.as_(todos.me, idempotency_key="k")
    other = await todos.http.post("/todos/batch", json={"commands": commands[:2]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert len(await todos.log()) == 4


async def test_a_batch_names_its_last_event_and_says_whether_all_of_it_was_done_before(todos: Service) -> None:
    todo = await todos.create()
    headers = todos.as_(todos.me, idempotency_key="k")
    commands = [{"op": "toggle", "id": todo["id"]}, {"op": "create", "todo": {"title": "a"}}]
    first, again = [
        await todos.http.post("/todos/batch", json={"commands": commands}, headers=headers) for _ in range(2)
    ]
    assert first.headers["x-event-position"] == again.headers["x-event-position"] == "TODOS:3"
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    gone = {"commands": [{"op": "toggle", "id": str(uuid4())}]}
    refused = await todos.http.post("/todos/batch", json=gone, headers=todos.as_(todos.me))
    assert "x-event-position" not in refused.headers


async def test_an_error_of_ours_harms_no_other_command(todos: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    fields_of_new = batch.fields_of_new

    def broken(form: Any) -> dict[str, Any]:
        if form.title == "broken":
            raise RuntimeError
        return fields_of_new(form)

    monkeypatch.setattr(batch, "fields_of_new", broken)
    results = await send(todos, *({"op": "create", "todo": {"title": title}} for title in ("a", "broken", "b")))
    assert [result["status"] for result in results] == [201, 500, 201]
    assert await todos.titles() == ["b", "a"]


async def test_a_hundred_are_taken_and_no_more(todos: Service) -> None:
    commands = [{"op": "create", "todo": {"title": f"{n}", "description": "x" * 10_000}} for n in range(100)]
    assert {result["status"] for result in await send(todos, *commands)} == {201}
    for bad in ([], commands + commands[:1]):
        answer = await todos.http.post("/todos/batch", json={"commands": bad}, headers=todos.as_(todos.me))
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "commands")
    assert len(await todos.log()) == 100


async def test_what_is_malformed_is_refused_as_a_whole(todos: Service) -> None:
    for bad in ({"op": "fly"}, {"op": "toggle"}, {"op": "create", "todo": {"title": ""}}, {"op": "edit", "id": "x"}):
        body = {"commands": [{"op": "create", "todo": {"title": "a"}}, bad]}
        answer = await todos.http.post("/todos/batch", json=body, headers=todos.as_(todos.me))
        assert answer.status_code == 422, answer.text
        assert "commands" in answer.json()["errors"][0]["field"]
    assert await todos.log() == []


async def test_a_database_that_goes_away_costs_the_commands_that_need_it_alone(
    todos: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo, lost = await todos.create(), await todos.create()

    async def away(found: Todos, user_id: UUID, todo_id: UUID) -> TodoRow:
        if str(todo_id) == lost["id"]:
            raise ConnectionRefusedError
        return await own(found, user_id, todo_id)

    monkeypatch.setattr("todos.writing.own", away)
    results = await send(todos, *({"op": "toggle", "id": each["id"]} for each in (todo, lost)))
    assert [result["status"] for result in results] == [200, 503]
    assert results[1]["body"]["code"] == "unavailable"
