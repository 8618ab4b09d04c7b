"""What is killed while it works: this stack as people run it, and whatever else has the same face."""

import shutil
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

import asyncpg
import httpx
import psutil

from bench.counts import SQL
from bench.held import tree
from events.ids import uuid7
from local import ports
from local.layout import layout
from local.stack import Stack


class Subject(Protocol):
    """Takes `POST /todos/` and `POST /users/request-otp` at `url` from who has a token, and does what follows.

    A to-do made is answered 201 with its id as `data.id`, a code asked for 200 once a mail with it is to be sent.
    """

    name: str
    url: str

    @property
    def parts(self) -> Sequence[str]:
        """What can be killed."""

    async def start(self, mail_port: int) -> None:
        """Start everything; mails go to this port. Raises `StartError`."""

    async def tokens(self) -> Sequence[str]:
        """Access tokens that last for as long as a kill."""

    async def stop(self) -> None:
        """Stop everything and remove it."""

    async def kill(self, part: str) -> None:
        """kill -9 a part with all its processes. It is started again, by the subject or by who supervises it."""

    async def done(self, since: datetime) -> Counter[str]:
        """How often the activity row of each to-do made since then is there, by the to-do's id."""


class Ours:
    """This stack, through its gateway; its supervisor starts again what was killed."""

    name = "this stack"
    parts = ("todos", "auth", "activity", "mailer", "nats", "postgres")

    def __init__(self, people: int = 8) -> None:
        self.url = ""
        self._people = people
        self._stack = Stack(layout({"PORT_BASE": str(ports.free_port())}))

    async def start(self, mail_port: int) -> None:
        """As the protocol says."""
        mail = {"SMTP_SERVER": "127.0.0.1", "SMTP_PORT": str(mail_port), "SMTP_STARTTLS": "false"}
        quiet = {"LOG_LEVEL": "WARNING", "TODOS_PER_PERSON": "100000000", "MAIL_TRANSPORT": "smtp"}
        self._stack.start(mail | quiet, lambda _: None)
        self.url = self._stack.gateway

    async def tokens(self) -> Sequence[str]:
        """As the protocol says: they last for ten minutes."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            return [await _signed_in(http) for _ in range(self._people)]

    async def stop(self) -> None:
        """As the protocol says."""
        self._stack.stop()
        shutil.rmtree((self._stack.layout.folder / "data").resolve(), ignore_errors=True)
        shutil.rmtree(self._stack.layout.folder, ignore_errors=True)

    async def kill(self, part: str) -> None:
        """As the protocol says."""
        for process in tree(self._stack.details["pids"][part]):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)

    async def done(self, since: datetime) -> Counter[str]:
        """As the protocol says; raises `OSError` or an asyncpg error while PostgreSQL is away."""
        connection = await asyncpg.connect(self._stack.details["postgres"]["activity_owner"], timeout=3)
        try:
            rows = await connection.fetch(SQL.entries_made, since, timeout=10)
        finally:
            connection.terminate()
        return Counter(row["todo_id"] for row in rows)


async def _signed_in(http: httpx.AsyncClient) -> str:
    """An access token for ten minutes of somebody new; in development the code is in the answer."""
    email = f"{uuid7().hex}@example.com"
    asked = (await http.post("/users/request-otp", json={"email": email})).raise_for_status().json()["data"]
    body = {"email": email, "challenge_id": asked["challenge_id"], "otp_code": asked["otp_code"]}
    session = (await http.post("/users/verify-otp", json=body)).raise_for_status().json()["data"]
    return str(session["access_token"])
