"""From an answered POST to the entry in activity's table, seen from outside, at a steady pace."""

import asyncio
from collections import deque
from datetime import datetime
from time import perf_counter
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from bench.counts import SQL, Unsound, heard, reconcile, rows_of
from bench.posts import BODY
from bench.requests import Answer, Connection, post
from bench.stack import Stack
from events.ids import uuid7

RATE: Final = 200
_PAUSE: Final = 0.001
_OVERTIME: Final = 60.0


class Arrivals(msgspec.Struct, frozen=True):
    """Seconds of each POST from when it was due to its answer, from there to its entry, and between two looks."""

    posts: list[float]
    entries: list[float]
    looks: list[float]


class _Todo(msgspec.Struct):
    created_at: datetime


class _Body(msgspec.Struct):
    data: _Todo


class _Walk:
    """One run: posts when they are due, whatever became of the earlier ones, and looks for their entries."""

    def __init__(self, url: str, request: bytes) -> None:
        self._url = url
        self._request = request
        self._idle: deque[Connection] = deque()
        self._awaited: dict[int, tuple[float, datetime]] = {}
        self.found = Arrivals([], [], [])
        self.refused = 0

    async def run(self, activity: asyncpg.Connection, user_id: UUID, seconds: float) -> None:
        async with asyncio.timeout(seconds + _OVERTIME), asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(activity, user_id))
            started = perf_counter()
            async with asyncio.TaskGroup() as posts:
                for nr in range(int(seconds * RATE)):
                    due = started + nr / RATE
                    await asyncio.sleep(due - perf_counter())
                    posts.create_task(self._post(due))
            while self._awaited:  # noqa: ASYNC110 - the watcher has no moment to tell
                await asyncio.sleep(_PAUSE)
            watching.cancel()
        for connection in self._idle:
            connection.close()

    async def _post(self, due: float) -> None:
        """Over the connection idle for longest (the server ends none so), or one more: nobody waits for another."""
        connection = self._idle.popleft() if self._idle else await Connection.open(self._url)
        answer = Answer(*await connection.call(self._request))
        answered = perf_counter()
        self._idle.append(connection)
        if answer.status != 201:
            self.refused += 1
            return
        self.found.posts.append(answered - due)
        seq = int(answer.headers["x-event-position"].partition(":")[2])
        self._awaited[seq] = (answered, msgspec.json.decode(answer.body, type=_Body).data.created_at)

    async def _watch(self, activity: asyncpg.Connection, user_id: UUID) -> None:
        """Read the rows of the awaited entries, again and again; an entry counts as seen when its read has ended."""
        while True:
            began = perf_counter()
            if self._awaited:
                oldest = min(at for _, at in self._awaited.values())
                rows = await activity.fetch(SQL.entries_since, user_id, oldest)
                self._see([row["seq"] for row in rows], perf_counter())
            await asyncio.sleep(_PAUSE)
            self.found.looks.append(perf_counter() - began)

    def _see(self, numbers: list[int], now: float) -> None:
        for seq in numbers:
            if entry := self._awaited.pop(seq, None):
                self.found.entries.append(now - entry[0])


async def measure(stack: Stack, todos: asyncpg.Connection, activity: asyncpg.Connection, seconds: float) -> Arrivals:
    """One run; raises `Unsound` unless every answered POST is one event, one archive row and one entry."""
    before = await rows_of(todos)
    await heard(activity, before)
    user_id = uuid7()
    walk = _Walk(stack.todos, post(stack.todos, "/todos/", BODY.encode(), stack.token(user_id)))
    await walk.run(activity, user_id, seconds)
    if walk.refused:
        raise Unsound(f"{walk.refused} requests were not answered with 201")
    await reconcile(todos, before, len(walk.found.entries))
    await heard(activity, await rows_of(todos))
    return walk.found
