"""The service over real PostgreSQL, without NATS: the API needs none. What several test files here share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import httpx

from api.app import create_app
from api.testing import People, serving
from events.batcher import Batcher
from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.health import Health
from events.log import Log
from events.outlet import Outlet
from events.postgres import dialer, open_pool
from events.process import Roles
from todos.alarms import Alarms
from todos.api import ROUTES
from todos.tables import get_todos
from todos.writing import Quota, Todos

T = TypeVar("T")


def runner() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs coroutines on this loop for a thread beside it: Hypothesis calls plain functions."""
    loop = asyncio.get_running_loop()
    return lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)


class Watch:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def set(self, moment: datetime) -> None:
        self.ahead = moment - datetime.now(UTC)


@dataclass
class Service:
    http: httpx.AsyncClient
    pool: asyncpg.Pool
    people: People
    me: UUID
    events: Log
    alarms: Alarms
    watch: Watch = field(default_factory=Watch)

    async def create(self, *, by: UUID | None = None, **fields: object) -> dict[str, Any]:
        answer = await self.http.post("/todos", json={"title": "우유 사기"} | fields, headers=self.as_(by or self.me))
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=self.as_(self.me, **headers))

    async def do(self, todo: dict[str, Any], act: str = "", body: object = None, **headers: str) -> httpx.Response:
        """`edit` with a body, `delete`, `toggle`, `restore`, `undo`."""
        method, path = {
            "edit": ("PATCH", ""),
            "delete": ("DELETE", ""),
            "toggle": ("PATCH", "/toggle"),
            "restore": ("POST", "/restore"),
            "undo": ("POST", "/undo"),
        }[act]
        path = f"/todos/{todo['id']}{path}"
        return await self.http.request(method, path, json=body, headers=self.as_(self.me, **headers))

    async def done(self, todo: dict[str, Any], act: str, body: object = None) -> dict[str, Any]:
        answer = await self.do(todo, act, body)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def titles(self, query: str = "") -> list[str]:
        answer = await self.get(f"/todos?{query}")
        assert answer.status_code == 200, answer.text
        return [todo["title"] for todo in answer.json()["data"]]

    def as_(self, person: UUID, **headers: str) -> dict[str, str]:
        return self.people.headers(person) | {name.replace("_", "-"): value for name, value in headers.items()}

    async def log(self) -> list[asyncpg.Record]:
        return await self.pool.fetch("select * from events.log order by seq")

    async def types(self) -> list[str]:
        return [event["type"].split(".")[1].removeprefix("Todo") for event in await self.log()]


@asynccontextmanager
async def running(url: str, *, quota: int = 10_000) -> AsyncIterator[Service]:
    people, dial, watch = People(), dialer(url, application="todos"), Watch()
    outlet = Outlet(FEEDS["TODOS"], dial, Broker("nats://127.0.0.1:1", name="todos"), Roles(worker=False))
    async with await open_pool(url, application="todos", replans=True) as pool, asyncio.TaskGroup() as group:
        find, brake = Batcher(partial(get_todos, pool)), Quota(pool, quota)
        tasks = [group.create_task(task()) for task in (*outlet.tasks(), find.run, brake.run)]
        health = Health()
        health.add(*outlet.checks())
        parts = {"todos": Todos(outlet.log, pool, find, watch, brake)}
        app = create_app(title="To-dos", routes=ROUTES, health=health, guard=people.guard, parts=parts)
        async with serving(app) as http:
            yield Service(http, pool, people, uuid4(), outlet.log, Alarms(outlet.log, pool, watch), watch)
        for task in tasks:
            task.cancel()
