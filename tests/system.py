"""The whole system from outside: HTTP through the gateway, SQL, NATS, letters, and faults. Nothing of the services."""

import asyncio
import os
import re
import secrets
import shutil
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import msgspec
import nats
import psutil
import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from events.catalog.activity import Period, ReportReady
from local import ports
from local.fixtures import until
from local.layout import Layout, layout
from local.stack import Stack

CODE = re.compile(r"\b\d{6,12}\b")
_UNSETTLED = """
select kind, state, count(*), min(due_at) as due, max(attempts) as attempts from letter
where settled_at is null group by kind, state
"""
_SESSIONS = """
select application_name, state, wait_event_type, wait_event, clock_timestamp() - query_start as since,
    left(query, 60) as query
from pg_stat_activity where state <> 'idle' and pid <> pg_backend_pid()
"""
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody, for the stack speaks plain HTTP: httpx would read all authorities for each client, 30 ms each time."""


class System:
    """A stack of our own; `printed` is what its console showed, `clock` moves the time of every service."""

    def __init__(self, stack: Stack, clock_file: Path) -> None:
        self.stack = stack
        self.printed: list[bytes] = []
        self._clock_file = clock_file

    def start(self, **environment: str) -> None:
        self.stack.start({"CLOCK_FILE": str(self._clock_file), **environment}, self.printed.append)

    def pid(self, part: str) -> int:
        return self.stack.details["pids"][part]

    def url(self, service: str) -> str:
        return self.stack.details["services"][service]

    @contextmanager
    def later(self, seconds: float) -> Iterator[None]:
        """Every service reads a later time meanwhile: so many seconds after the real one."""
        before = self._clock_file.read_text() if self._clock_file.exists() else "0"
        self._clock_file.write_text(str(seconds))
        yield
        self._clock_file.write_text(before)

    @contextmanager
    def without(self, part: str) -> Iterator[None]:
        """A part is killed, and nobody starts it again meanwhile."""
        os.kill(self.pid("supervisor"), signal.SIGSTOP)
        try:
            self.kill(part)
            yield
        finally:
            os.kill(self.pid("supervisor"), signal.SIGCONT)

    @contextmanager
    def hung(self, part: str) -> Iterator[None]:
        """A part is there and does nothing."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill(self, part: str) -> None:
        """SIGKILL a part with all its processes."""
        leader = psutil.Process(self.pid(part))
        for process in (leader, *leader.children(recursive=True)):
            process.kill()

    async def rows(self, service: str, query: str, *values: object) -> list[asyncpg.Record]:
        return await self._ask(f"{service}_owner", query, *values)

    async def _ask(self, login: str, query: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.stack.details["postgres"][login])
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def value(self, service: str, query: str, *values: object) -> Any:
        return (await self.rows(service, query, *values))[0][0]

    @asynccontextmanager
    async def jetstream(self) -> AsyncIterator[JetStreamContext]:
        client = await nats.connect(self.stack.details["nats"]["admin"])
        try:
            yield client.jetstream(timeout=2)
        finally:
            await client.close()

    async def messages(self, stream: str) -> list[Msg]:
        """What a stream holds."""
        async with self.jetstream() as js:
            state = (await js.stream_info(stream)).state
            if not state.messages:
                return []
            subscription = await js.subscribe("ev.>", stream=stream, ordered_consumer=True)
            return [await subscription.next_msg(timeout=5) for _ in range(state.messages)]

    async def readiness(self, service: str) -> dict[str, Any]:
        """What a service says of its parts."""
        async with httpx.AsyncClient(timeout=5, verify=PLAIN) as http:
            answer = await http.get(f"{self.url(service)}/healthz/ready")
        return {"status": answer.status_code, **{check["name"]: check["state"] for check in answer.json()["checks"]}}

    async def ready(self, *services: str, within: float = 20) -> None:
        """Wait until services answer and nothing of them is late."""
        for service in services:
            unwell: dict[str, Any] = {}
            try:
                await until(partial(self._is_well, service, unwell), within=within)
            except pytest.fail.Exception:
                pytest.fail(f"{service} does not get well: {unwell}")

    async def _is_well(self, service: str, unwell: dict[str, Any]) -> bool:
        try:
            state = await self.readiness(service)
        except httpx.HTTPError as error:
            state = {"status": repr(error)}
        unwell.clear()
        unwell.update({part: told for part, told in state.items() if told not in {200, "ok"}})
        return not unwell

    async def way_of_codes(self) -> dict[str, Any]:
        """How far codes came on their way to a letter, and who waits for what in the database; what is away says so."""

        async def published() -> int:
            async with self.jetstream() as js:
                return (await js.stream_info("OTP")).state.last_seq

        looks = {
            "asked for": self.rows("auth", "select last_seq from events.feed where name = 'OTP'"),
            "published": published(),
            "heard": self.rows("mailer", "select seq from events.checkpoint where feed = 'OTP'"),
            "letters": self.rows("mailer", _UNSETTLED),
            "sessions": self._ask("admin", _SESSIONS),
            "mailer": self.readiness("mailer"),
        }
        told = await asyncio.gather(*(asyncio.wait_for(look, 5) for look in looks.values()), return_exceptions=True)
        return dict(zip(looks, told, strict=True))

    @asynccontextmanager
    async def visitor(self, **headers: str) -> AsyncIterator["Person"]:
        """Somebody who is not signed in."""
        async with httpx.AsyncClient(base_url=self.stack.gateway, timeout=15, headers=headers, verify=PLAIN) as http:
            yield Person(self, http, f"{secrets.token_hex(6)}@example.com")

    @asynccontextmanager
    async def person(self) -> AsyncIterator["Person"]:
        """Somebody new, signed in by the code of the letter."""
        async with self.visitor() as someone:
            await someone.sign_in()
            yield someone


@dataclass
class Person:
    """A client of the gateway."""

    system: System
    http: httpx.AsyncClient
    email: str
    id: str = ""

    async def ask_for_code(self, **headers: str) -> dict[str, Any]:
        answer = await self.http.post("/users/request-otp", json={"email": self.email}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def letter(self) -> EmailMessage:
        """The newest letter with a code."""
        try:
            return (await until(self.codes))[-1]
        except pytest.fail.Exception:
            pytest.fail(f"no letter came: {await self.system.way_of_codes()}")

    def codes(self) -> list[EmailMessage]:
        """The letters with codes, oldest first; all others can be stopped."""
        return with_codes(self.system.stack.mails_to(self.email))

    async def verify(self, challenge: dict[str, Any], code: str) -> httpx.Response:
        body = {"email": self.email, "challenge_id": challenge["challenge_id"], "otp_code": code}
        return await self.http.post("/users/verify-otp", json=body)

    async def sign_in(self) -> dict[str, Any]:
        challenge = await self.ask_for_code()
        answer = await self.verify(challenge, code_of(await self.letter()))
        assert answer.status_code == 200, answer.text
        session = answer.json()["data"]
        self.id = session["user"]["id"]
        self.http.headers["authorization"] = f"Bearer {session['access_token']}"
        return session

    async def create(self, title: str = "우유 사기", **headers: str) -> httpx.Response:
        answer = await self.http.post("/todos/", json={"title": title}, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer

    async def actions(self) -> list[str]:
        """What the person did, oldest first; when letters went out is left to the mailer."""
        answer = await self.http.get("/activity/?limit=100")
        assert answer.status_code == 200, answer.text
        told = [entry["action"] for entry in reversed(answer.json()["data"])]
        return [action for action in told if not action.startswith("mail_")]

    async def weeks(self) -> list[ReportReady]:
        """What the stream ACTIVITY says of the person's weeks, oldest first."""
        said = [
            message for message in await self.system.messages("ACTIVITY") if message.headers["ce-subject"] == self.id
        ]
        told = [msgspec.json.decode(message.data, type=ReportReady) for message in said]
        return [report for report in told if report.period == "week"]

    async def did(self, *actions: str, within: float = 10) -> None:
        """Wait until the person's activity is exactly this since signing in."""

        async def arrived() -> bool:
            return await self.actions() == ["user_registered", "user_signed_in", *actions]

        await until(arrived, within=within)


def with_codes(mails: Iterable[EmailMessage]) -> list[EmailMessage]:
    return [mail for mail in mails if "List-Unsubscribe" not in mail]


def code_of(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert body is not None
    found = CODE.search(body.get_content())
    assert found is not None
    return found[0]


@contextmanager
def system(**environment: str) -> Iterator[System]:
    """A whole stack for tests, removed afterwards."""
    where = free_layout()
    with tempfile.TemporaryDirectory() as folder:
        made = System(Stack(where), Path(folder) / "clock")
        try:
            made.start(**environment)
            yield made
        finally:
            made.stack.stop()
            data = where.folder / "data"
            shutil.rmtree(data.resolve(), ignore_errors=True)
            shutil.rmtree(where.folder, ignore_errors=True)


def after_the_week() -> float:
    """Seconds until a minute past nine on Monday in Seoul: by then this week is closed for whoever chose no zone."""
    now, monday = _week()
    return (monday - now).total_seconds()


def open_periods() -> list[Period]:
    """What is open of whoever registers now, in the order in which it closes: a week may go on into the next month."""
    now, monday = _week()
    return ["week", "month"] if monday.month == now.month else ["month", "week"]


def _week() -> tuple[datetime, datetime]:
    """This moment, and a minute past nine on the Monday after it."""
    now = datetime.now(ZoneInfo("Asia/Seoul"))
    return now, now.replace(hour=9, minute=1) + timedelta(days=7 - now.weekday())


def free_layout() -> Layout:
    """Where a stack of our own finds its ports free."""
    return layout({"PORT_BASE": str(ports.free_port())})
