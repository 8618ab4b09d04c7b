"""The same by server-sent events, for who prefers those."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from notifying import World, completed

from notifier.tables import drop_notifications


class Events:
    """Reads an event stream as a browser does: fields, a blank line, the last id kept."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.last_id = ""

    async def next(self) -> dict[str, Any]:
        fields: dict[str, str] = {}
        async for line in self._lines:
            if not line:
                self.last_id = fields.get("id", self.last_id)
                data = json.loads(fields["data"])
                assert data["type"] == fields["event"]
                return data
            name, _, value = line.partition(": ")
            fields[name] = value
        raise EOFError


@asynccontextmanager
async def stream(world: World, query: str = "", **headers: str) -> AsyncIterator[Events]:
    async with world.http.stream("GET", f"/notifications/stream{query}", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield Events(response)


async def numbers(events: Events, count: int) -> list[int]:
    return [(await events.next())["notification"]["number"] for _ in range(count)]


async def test_a_stream_resumes_after_the_last_event_id(world: World) -> None:
    me = uuid4()
    await world.told(me, 4)
    async with world.hearing(), stream(world, **world.people.headers(me), **{"last-event-id": "2"}) as events:
        assert (await events.next())["last_number"] == 4
        assert await numbers(events, 2) == [3, 4]
        await world.say("TODOS", completed(), to=me)
        assert await numbers(events, 1) == [5]
        assert events.last_id == "5"


async def test_a_ticket_serves_where_no_header_can_be_set_once(world: World) -> None:
    me = uuid4()
    await world.told(me, 2)
    ticket = await world.ticket(me)
    async with stream(world, f"?ticket={ticket}&last=1") as events:
        await events.next()
        assert await numbers(events, 1) == [2]
    assert (await world.http.get(f"/notifications/stream?ticket={ticket}")).status_code == 401


async def test_a_gap_moves_the_last_event_id(world: World) -> None:
    me = uuid4()
    await world.told(me, 3)
    world.watch.ahead = timedelta(days=91)
    await drop_notifications(world.pool, world.watch, 100)
    async with stream(world, **world.people.headers(me), **{"last-event-id": "1"}) as events:
        await events.next()
        assert await events.next() == {"type": "gap", "from": 2, "to": 3, "resume": 3}
        assert events.last_id == "3"


async def test_the_end_is_told_with_its_reason(world: World) -> None:
    me = uuid4()
    soon = int(world.watch().timestamp()) + 2
    async with stream(world, **world.people.headers(me, exp=soon)) as events:
        await events.next()
        assert await events.next() == {"type": "close", "code": 4402, "reason": "token_expired"}
        with pytest.raises(EOFError):
            await events.next()
    async with stream(world, **world.people.headers(me)) as events:
        await events.next()
        world.live.leave()
        assert await events.next() == {"type": "close", "code": 1012, "reason": "restarting"}


@pytest.mark.parametrize("last", ["-1", "x", "1.5", "9" * 30, "9" * 4301])
async def test_what_is_no_number_is_refused(world: World, last: str) -> None:
    answer = await world.get("/notifications/stream", uuid4(), **{"last-event-id": last})
    assert answer.status_code == 400


async def test_nobody_follows_without_a_token(world: World) -> None:
    assert (await world.http.get("/notifications/stream")).status_code == 401
