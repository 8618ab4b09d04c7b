"""What people do meanwhile, and what breaks under them."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from local.layout import SERVICES
from system import Person, System

BACKING: Final = ("nats", "postgres")
EVERY: Final = 60.0
"""Seconds between two restarts."""
_PAUSE: Final = 0.1
_HELD: Final = 10.0
_BACK: Final = 60.0


class Wrong(Exception):
    """An answer that no fault explains."""


async def work(world: System) -> None:
    """Somebody who uses their to-dos, and signs in again whenever they are thrown out, until cancelled."""
    while True:
        with suppress(httpx.TransportError, AssertionError):  # a restart met the signing in
            async with world.person() as me:
                await _use(me)
        await asyncio.sleep(1)


async def _use(me: Person) -> None:
    while True:
        made = await me.http.post("/todos/", json={"title": "우유 사기", "due_at": "2030-01-01T09:00:00Z"})
        where = made.headers.get("location", "/todos/")
        for method, path in (
            ("PATCH", f"{where}/toggle"),
            ("GET", "/todos/?limit=20"),
            ("GET", "/activity/?limit=20"),
            ("GET", "/notifications/?limit=20"),
            ("DELETE", where),
        ):
            answer = await me.http.request(method, path)
            if answer.status_code == 401:  # the access token has aged
                return
            if answer.status_code >= 500 and answer.status_code != 503:
                raise Wrong(f"{method} {path}: {answer.status_code} {answer.text}")
            await asyncio.sleep(_PAUSE)


async def follow(world: System) -> None:
    """Somebody who follows their inbox, and is cut off again and again, until cancelled."""
    while True:
        with suppress(httpx.TransportError, AssertionError, WebSocketException, OSError):
            async with world.person() as me:
                await _listen(me, world.stack.gateway.replace("http", "ws", 1))
        await asyncio.sleep(1)


async def _listen(me: Person, gateway: str) -> None:
    while True:
        sold = await me.http.post("/notifications/ticket")
        if sold.status_code == 401:
            return
        if sold.is_success:
            ticket = sold.json()["data"]["ticket"]
            async with connect(f"{gateway}/notifications/ws?ticket={ticket}&last=0") as socket:
                with suppress(TimeoutError):
                    async with asyncio.timeout(random.uniform(0, _HELD)):
                        async for _ in socket:
                            pass
                socket.transport.abort()
        await asyncio.sleep(1)


async def restart(world: System, said: Callable[[str], None]) -> None:
    """Kill what the services stand on, in turn, until cancelled."""
    while True:
        for part in BACKING:
            await asyncio.sleep(EVERY)
            world.kill(part)
            said(part)
            await world.ready(*SERVICES, within=_BACK)


async def together(*tasks: Coroutine[Any, Any, None], seconds: float) -> None:
    """Run these for so long; whatever fails ends all."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
