"""The whole path through the gateway, step by step: what arrived where, and when."""

import asyncio
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg
import httpx
import nats
import nats.errors
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from local.child import StartError
from local.layout import Layout
from local.stack import Stack

T = TypeVar("T")

# What the application that this one replaces took to answer a request for a code.
IN_REQUEST_MS: Final = 6114.0
IN_BACKGROUND_MS: Final = 2034.0

_WITHIN: Final = 10.0
_CONNECTED_WITHIN: Final = 3.0
_CODE: Final = re.compile(r"\b\d{6,12}\b")
_RULE = b"=" * 50
_EVENT: Final = "select seq, id, type from events.log where feed = $1 and aggregate = $2 order by seq"
_ARCHIVED: Final = "select number, feed, seq, type from archive where aggregate = $1 order by number"


@dataclass
class Report:
    """Prints steps under numbers."""

    steps: int = 0

    def step(self, title: str, ms: float, *details: str) -> None:
        """What was done, in how many milliseconds, what came of it."""
        self.steps += 1
        print(f"\n{self.steps:>3}  {title:<58}{ms:>9.1f} ms")
        for detail in details:
            print(f"     {detail}")


@dataclass
class Demo:
    """One walk through a stack that is up; `letters` collects what its console prints, None where that is not ours."""

    stack: Stack
    letters: list[bytes] | None
    http: httpx.AsyncClient
    js: JetStreamContext
    report: Report = field(default_factory=Report)
    email: str = field(default_factory=lambda: f"demo-{secrets.token_hex(3)}@example.com")

    async def walk(self) -> None:
        """Sign in, work, look at what came of it."""
        asked_ms = await self._sign_in()
        todo_id = await self._work()
        await self._look_back(todo_id)
        self._compare(asked_ms)

    async def _sign_in(self) -> float:
        started = time.perf_counter()
        challenge, asked_ms, _ = await self._call("POST", "/users/request-otp", json={"email": self.email})
        self.report.step("POST /users/request-otp", asked_ms, f"for {self.email}")
        code = await self._read_code(started)
        await self._show_events("auth", "OTP", challenge["challenge_id"])
        answer = {"email": self.email, "challenge_id": challenge["challenge_id"], "otp_code": code}
        session, ms, _ = await self._call("POST", "/users/verify-otp", json=answer)
        self.http.headers["authorization"] = f"Bearer {session['access_token']}"
        self.report.step("POST /users/verify-otp", ms, f"signed in as {session['user']['id']}")
        return asked_ms

    async def _read_code(self, started: float) -> str:
        [mail] = await _until(lambda: _now(self.stack.mails_to(self.email)))
        body = mail.get_body(("plain",))
        self.report.step("the letter is there, counted from the request", _since(started), mail["Subject"])
        if self.letters is not None:
            sys.stdout.write((await _until(partial(self._shown, self.letters))).decode())
        code = _CODE.search(body.get_content() if body else "")
        if code is None:
            raise StartError(f"the letter to {self.email} holds no code; see {self.stack.layout.mails}")
        return code[0]

    async def _shown(self, letters: list[bytes]) -> bytes | None:
        """What the console showed, once it is whole: its lines come after the letter's file."""
        shown = b"".join(letters)
        return shown if shown.count(_RULE) >= 3 else None

    async def _work(self) -> str:
        new = {"title": "우유 사기", "priority": 2}
        todo, ms, answer = await self._call("POST", "/todos/", json=new)
        self.report.step("POST /todos/", ms, f"{answer.headers['location']}, ETag {answer.headers['etag']}")
        toggled, ms, answer = await self._call("PATCH", f"/todos/{todo['id']}/toggle")
        position = answer.headers["x-event-position"]
        self.report.step("PATCH /todos/{id}/toggle", ms, f"completed: {toggled['completed']}, event {position}")
        started = time.perf_counter()
        await self._call("GET", "/activity/?limit=1", headers={"x-min-position": position})
        self.report.step("activity has heard it, counted from the answer", _since(started), f"asked for {position}")
        return str(todo["id"])

    async def _look_back(self, todo_id: str) -> None:
        await self._show_events("todos", "TODOS", todo_id)
        todos, ms, _ = await self._call("GET", "/todos/")
        lines = [
            f"[{'x' if todo['completed'] else ' '}] {todo['title']}, priority {todo['priority']}" for todo in todos
        ]
        self.report.step("GET /todos/", ms, *lines)
        entries, ms, _ = await self._call("GET", "/activity/")
        lines = [f"{entry['at']}  {entry['action']:<15} {entry['details'].get('title', '')}" for entry in entries]
        self.report.step("GET /activity/", ms, *lines)
        started = time.perf_counter()
        rows = await self._rows("activity", _ARCHIVED, UUID(todo_id))
        lines = [f"number {row['number']:<6} {row['feed']} {row['seq']:<6} {row['type']}" for row in rows]
        self.report.step("the archive that projections are rebuilt from, by SQL", _since(started), *lines)

    async def _show_events(self, service: str, feed: str, aggregate: str) -> None:
        """Event N of the log is message N of the stream."""
        started = time.perf_counter()
        lines = []
        for row in await self._rows(service, _EVENT, feed, UUID(aggregate)):
            message = await _until(partial(self._message, feed, row["seq"]))
            found = (message.headers or {})["ce-id"]
            sign = "=" if found == str(row["id"]) else "IS NOT"
            lines += [f"log    {feed} {row['seq']:<6} {row['id']}  {row['type']}"]
            lines += [f"stream {feed} {row['seq']:<6} {found}  {message.subject}   {sign}"]
        self.report.step(f"the same events in the log and in stream {feed}", _since(started), *lines)

    async def _message(self, feed: str, seq: int) -> RawStreamMsg | None:
        try:
            return await self.js.get_msg(feed, seq)
        except NotFoundError:
            return None

    async def _rows(self, service: str, query: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.stack.details["postgres"][f"{service}_owner"])
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def _call(self, method: str, path: str, **options: Any) -> tuple[Any, float, httpx.Response]:
        """The answer's data, how long it took in ms, and the answer; raises `StartError` for a refusal."""
        started = time.perf_counter()
        answer = await self.http.request(method, path, **options)
        ms = _since(started)
        if answer.is_error:
            raise StartError(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json()["data"], ms, answer

    def _compare(self, asked_ms: float) -> None:
        print("\nA code was asked for, and answered after")
        for title, ms in (
            ("the application before, mail in the request", IN_REQUEST_MS),
            ("the application before, in-process background task", IN_BACKGROUND_MS),
            ("this one, durable in PostgreSQL before the answer", asked_ms),
        ):
            print(f"     {title:<58}{ms:>9.1f} ms")
        print()


def demo(layout: Layout) -> None:
    """Walk through the stack at these ports, or through one of our own; raises `StartError`."""
    stack = Stack(layout)
    with _up(stack) as letters:
        try:
            asyncio.run(_walk(stack, letters))
        except (httpx.HTTPError, nats.errors.Error, asyncpg.PostgresError, ConnectionError, TimeoutError) as error:
            raise StartError(
                f"the stack at {stack.gateway} does not answer as it should: {error!r}; "
                f"its logs in {layout.logs} tell more"
            ) from error


@contextmanager
def _up(stack: Stack) -> Iterator[list[bytes] | None]:
    """A stack that is up; what the console of our own prints."""
    if stack.is_up:
        print(f"the stack at {stack.gateway} is up: letters are printed on its own console")
        yield None
        return
    started, letters = time.perf_counter(), list[bytes]()
    print("starting a stack for this demonstration")
    try:
        stack.start({}, letters.append)
        print(f"ready at {stack.gateway} after {_since(started) / 1000:.1f} s; everything is in {stack.layout.folder}")
        yield letters
    finally:
        stack.stop()


async def _walk(stack: Stack, letters: list[bytes] | None) -> None:
    async with asyncio.timeout(_CONNECTED_WITHIN):  # the first connect tries for minutes, reconnects allowed or not
        client = await nats.connect(stack.details["nats"]["admin"], allow_reconnect=False, error_cb=_say_nothing)
    try:
        async with httpx.AsyncClient(base_url=stack.gateway, timeout=_WITHIN) as http:
            await Demo(stack, letters, http, client.jetstream(timeout=1)).walk()
    finally:
        await client.close()


async def _say_nothing(_error: Exception) -> None:
    """The call that fails raises; nats-py's default would print a traceback besides."""


async def _until(look: Callable[[], Awaitable[T | None]]) -> T:
    """What `look` finds at last; raises `StartError` after ten seconds."""
    deadline = time.perf_counter() + _WITHIN
    while not (found := await look()):
        if time.perf_counter() > deadline:
            raise StartError("something did not arrive within ten seconds; the logs tell more")
        await asyncio.sleep(0.001)
    return found


async def _now(value: T) -> T:
    return value


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
