"""A client whose connections break at random retries with its keys: it is as if nothing had happened."""

import asyncio
import json
import random
from typing import Any
from urllib.parse import urlsplit

import httpx

from system import Person, System

LANES = 8


class Broken(Exception):
    """The connection is gone before the answer was there."""


class Shaky:
    """A client that cuts a connection before, in or after its request, or in the answer, about every other time."""

    def __init__(self, person: Person, seed: int) -> None:
        self.person = person
        self.chance = random.Random(seed)
        self.cuts = 0
        self.replayed = 0

    async def write(self, method: str, path: str, key: str, body: Any = None) -> dict[str, Any]:
        """The answer, after however many tries."""
        while True:
            try:
                return await self._try(method, path, key, json.dumps(body).encode() if body else b"")
            except (Broken, OSError):
                self.cuts += 1

    async def _try(self, method: str, path: str, key: str, body: bytes) -> dict[str, Any]:
        where = urlsplit(self.person.system.stack.gateway)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: {where.netloc}\r\nIdempotency-Key: {key}\r\nConnection: close\r\n"
                f"Authorization: {self.person.http.headers['authorization']}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            request = head.encode() + body
            fate = self.chance.random()
            writer.write(request[: self.chance.randrange(len(request))] if fate < 0.15 else request)
            await writer.drain()
            if fate < 0.5:
                await asyncio.sleep(self.chance.uniform(0, 0.02) if fate > 0.15 else 0)
                raise Broken
            async with asyncio.timeout(20):
                return self._read(await reader.read())
        finally:
            writer.transport.abort()

    def _read(self, raw: bytes) -> dict[str, Any]:
        head, _, body = raw.partition(b"\r\n\r\n")
        if b" 503 " in head.splitlines()[0] or b" 409 " in head.splitlines()[0]:
            raise Broken  # still running, or not known: the same key again
        assert head.split()[1] in {b"200", b"201"}, raw
        self.replayed += b"idempotency-replayed: true" in head.lower()
        if b"chunked" in head.lower():
            body = b"".join(body.split(b"\r\n")[1::2])
        return json.loads(body)["data"]


async def lane(client: Shaky, number: int, writes: int) -> list[dict[str, Any]]:
    """Write, and keep what it must come to."""
    todos: list[dict[str, Any]] = []
    for n in range(writes):
        key, todo = f"{number}-{n}", client.chance.choice(todos) if todos and client.chance.random() < 0.7 else None
        if todo is None:
            made = await client.write("POST", "/todos", key, {"title": f"{number}-{n}"})
            todos.append({"id": made["id"], "title": f"{number}-{n}", "completed": False, "version": 1})
            continue
        todo["version"] += 1
        if client.chance.random() < 0.7:
            todo["completed"] = not todo["completed"]
            await client.write("PATCH", f"/todos/{todo['id']}/toggle", key)
        else:
            todo["title"] = f"{number}-{n}"
            await client.write("PATCH", f"/todos/{todo['id']}", key, {"title": todo["title"]})
    return todos


async def test_writes_over_connections_that_break_happen_once_each(world: System, full: bool) -> None:
    writes = 1000 if full else 240
    async with world.person() as someone, world.visitor() as other:
        other.http.headers["authorization"] = someone.http.headers["authorization"]
        start = (await someone.http.get("/todos/changes")).json()["data"]["position"]
        clients = [Shaky(someone, number) for number in range(LANES)]
        lanes = await asyncio.gather(*(lane(client, n, writes // LANES) for n, client in enumerate(clients)))
        expected = {todo["id"]: todo for todos in lanes for todo in todos}
        assert sum(client.cuts for client in clients) > writes / 4
        assert sum(client.replayed for client in clients) > writes / 20
        found = {todo["id"]: todo for todo in await whole_list(someone.http)}
        assert {id_: {name: todo[name] for name in expected[id_]} for id_, todo in found.items()} == expected
        synced = (await other.http.get(f"/todos/changes?since={start}")).json()["data"]
        assert {change["id"]: change["todo"] for change in synced["changes"]} == found
        assert synced["more"] is False


async def whole_list(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    path, todos = "/todos?limit=100", []
    while path:
        answer = await http.get(path)
        todos += answer.json()["data"]
        path = answer.links["next"]["url"] if "link" in answer.headers else ""
    return todos
