"""What is killed while it works: this stack as people run it, and peers, behind one face."""

import asyncio
import secrets
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import asyncpg
import httpx
import psutil

from bench.counts import SQL
from bench.held import tree
from bench.rivals import PEERS, Peers
from bench.stack import Servers, own_folder
from events.ids import uuid7
from local import ports
from local.layout import layout
from local.nats import Nats
from local.parts import Part
from local.postgres import Postgres
from local.stack import Stack

_PEOPLE: Final = 8


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

    def __init__(self) -> None:
        self.url = ""
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
            return [await _signed_in(http) for _ in range(_PEOPLE)]

    async def stop(self) -> None:
        """As the protocol says."""
        self._stack.stop()
        shutil.rmtree((self._stack.layout.folder / "data").resolve(), ignore_errors=True)
        shutil.rmtree(self._stack.layout.folder, ignore_errors=True)

    async def kill(self, part: str) -> None:
        """As the protocol says."""
        _kill(self._stack.details["pids"][part])

    async def done(self, since: datetime) -> Counter[str]:
        """As the protocol says; raises `OSError` or an asyncpg error while PostgreSQL is away."""
        connection = await asyncpg.connect(self._stack.details["postgres"]["activity_owner"], timeout=3)
        return await _made(connection, SQL.entries_made, since)


class Peer:
    """A peer beside servers of its own. Who is killed is started again at once, as a supervisor would."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.url = ""
        self._parts: dict[str, Part] = {}
        self._leaving = AsyncExitStack()

    @property
    def parts(self) -> Sequence[str]:
        """NATS only where something is told by it."""
        return ("app", "worker", "nats") if PEERS[self.name].worker else ("app",)

    async def start(self, mail_port: int) -> None:
        """As the protocol says."""
        folder = self._leaving.enter_context(own_folder())
        self._servers = self._leaving.enter_context(_servers(folder))
        self._peers = Peers(self._servers, mail_port, folder)
        await self._peers.prepare(self.name)
        programs = await self._leaving.enter_async_context(self._peers.programs(self.name))
        self._parts = {**programs, "nats": self._servers.nats}
        self.url = self._peers.url

    async def tokens(self) -> Sequence[str]:
        """As the protocol says: they last for an hour."""
        return [self._peers.token() for _ in range(_PEOPLE)]

    async def stop(self) -> None:
        """As the protocol says."""
        await self._leaving.aclose()

    async def kill(self, part: str) -> None:
        """As the protocol says."""
        killed = self._parts[part]
        assert killed.child is not None
        _kill(killed.child.process.pid)
        await asyncio.to_thread(killed.start)

    async def done(self, since: datetime) -> Counter[str]:
        """As the protocol says."""
        return await _made(await self._servers.connect_alone(self.name), SQL.peer_made, since)


@contextmanager
def _servers(folder: Path) -> Iterator[Servers]:
    password_of = cache(lambda _: secrets.token_hex(16))
    postgres = Postgres(folder, ports.free_port(), password_of)
    nats = Nats(folder / "nats", ports.free_port(), {"admin": None}, password_of)
    postgres.start()
    try:
        nats.start()
        try:
            yield Servers(postgres, nats)
        finally:
            nats.kill()
    finally:
        postgres.stop()


def _kill(pid: int) -> None:
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


async def _made(connection: asyncpg.Connection, query: str, since: datetime) -> Counter[str]:
    try:
        rows = await connection.fetch(query, since, timeout=10)
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
