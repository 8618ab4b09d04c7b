"""Random commands against the service and a plain model: they agree on every to-do, at every moment of the past."""

import asyncio
from collections.abc import Callable, Coroutine
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)
from todoing import Service, runner, running

from local.fixtures import DatabaseFactory
from todos.verify import verify

FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["a", "우유", "x" * 200]),
        "description": st.sampled_from([None, "", "d"]),
        "priority": st.integers(1, 5),
        "due_at": st.sampled_from([None, "2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]),
        "remind_minutes_before": st.sampled_from([None, 0, 60]),
    },
)
SHOWN = ("title", "description", "priority", "due_at", "remind_minutes_before", "completed")


class Model:
    """A to-do as a plain dictionary, each change kept with the state before it."""

    def __init__(self, state: dict[str, Any], version: int) -> None:
        self.state = state
        self.version = version
        self.changes: list[dict[str, Any] | None] = [None]

    def change(self, **news: Any) -> bool:
        if all(self.state[name] == value for name, value in news.items()):
            return False
        self.changes.append(deepcopy(self.state))
        self.state |= news
        self.version += 1
        return True

    def undo(self) -> None:
        before = self.changes[-1]
        self.change(**({"deleted": True} if before is None else before))
        if before is None:
            self.changes[-1] = self.state | {"deleted": False}


class Machine(RuleBasedStateMachine):
    todos: Service
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, Model] = {}
        self.seen: list[tuple[str, str, dict[str, Any] | None]] = []

    def compare(self, todo_id: str, data: dict[str, Any]) -> None:
        model = self.models[todo_id]
        shown = {name: data[name] for name in SHOWN} | {"deleted": bool(data["deleted_at"])}
        assert (shown, data["version"]) == (model.state, model.version)
        self.seen.append((todo_id, data["updated_at"], None if model.state["deleted"] else dict(data)))

    @rule(target=ids, fields=FIELDS)
    def create(self, fields: dict[str, Any]) -> str:
        data = self.run(self.todos.create(**fields))
        state = {name: data[name] for name in SHOWN} | {"deleted": False}
        assert {name: state[name] for name in fields} == fields
        self.models[data["id"]] = Model(state, 1)
        self.compare(data["id"], data)
        return data["id"]

    @rule(todo_id=ids, fields=FIELDS)
    def edit(self, todo_id: str, fields: dict[str, Any]) -> None:
        self.act(todo_id, "edit", fields, **fields)

    @rule(todo_id=ids)
    def toggle(self, todo_id: str) -> None:
        self.act(todo_id, "toggle", None, completed=not self.models[todo_id].state["completed"])

    @rule(todo_id=ids)
    def delete(self, todo_id: str) -> None:
        self.act(todo_id, "delete", None, deleted=True)

    def act(self, todo_id: str, act: str, body: Any, **news: Any) -> None:
        answer = self.run(self.todos.do({"id": todo_id}, act, body))
        if self.models[todo_id].state["deleted"]:
            assert answer.status_code == 404
            return
        self.models[todo_id].change(**news)
        self.compare(todo_id, answer.json()["data"])

    @rule(todo_id=ids)
    def restore(self, todo_id: str) -> None:
        self.models[todo_id].change(deleted=False)
        self.compare(todo_id, self.run(self.todos.done({"id": todo_id}, "restore")))

    @rule(todo_id=ids)
    def undo(self, todo_id: str) -> None:
        self.models[todo_id].undo()
        self.compare(todo_id, self.run(self.todos.done({"id": todo_id}, "undo")))

    @rule()
    def ring(self) -> None:
        before = len(self.run(self.todos.log()))
        self.run(self.todos.alarms.ring(100))
        for event in self.run(self.todos.log())[before:]:
            if model := self.models.get(str(event["aggregate"])):  # else of a run before
                model.version += 1

    def teardown(self) -> None:
        for todo_id, moment, data in self.seen:
            answer = self.run(self.todos.get(f"/todos/{todo_id}?at={moment}"))
            assert answer.status_code == (200 if data else 404)
            assert data is None or answer.json()["data"] == data


@pytest.mark.timeout(900)
async def test_random_commands_lead_where_a_plain_model_says(database: DatabaseFactory, full: bool) -> None:
    async with running(database("todos").url) as todos:
        Machine.todos, Machine.run = todos, staticmethod(runner())
        counts = settings(
            max_examples=150 if full else 12,
            stateful_step_count=40 if full else 25,
            deadline=timedelta(seconds=30),
            suppress_health_check=list(HealthCheck),
        )
        await asyncio.to_thread(run_state_machine_as_test, Machine, settings=counts)
        async with todos.pool.acquire() as connection:
            verdict = await verify(connection)
        assert verdict.differing == []
        assert verdict.compared > 10
