"""The stack that is measured: all services as people run them, on ports and in a folder of its own, gone afterwards."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from auth.keyring import Keyring
from auth.tokens import AccessTokens
from events.clock import system_clock
from events.ids import uuid7
from events.keys import Keys, read_keys
from events.postgres import open_pool
from local import parts, ports
from local.child import wait_until
from local.environment import service_environment
from local.layout import REPOSITORY, Layout
from local.prepare import migrate_database
from local.supervisor import Supervisor

_ECHO: Final = 10  # the first port after the services'
_ALONE: Final = "todos_alone"  # a to-do service's database that no relay reads


class Stack:
    """A stack that is up."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        layout = supervisor.layout
        self._postgres = supervisor.postgres
        self.todos = layout.service_url("todos")
        self.echo = f"http://127.0.0.1:{layout.port_base + _ECHO}"
        self.data = self._postgres.data
        self.appends_url = self._postgres.url(_ALONE, "todos")
        wrapping = read_keys(supervisor.secrets.keys["KEY_WRAPPING_KEYS"], size=32)
        keyring = asyncio.run(_keyring(self._postgres.url("auth", "auth"), wrapping))
        self._tokens = AccessTokens(keyring, issuer=layout.gateway, audience="todo")

    def token(self, user_id: UUID) -> str:
        """An access token for ten minutes, signed with the stack's own key."""
        return self._tokens.sign(user_id, uuid7(), (), None, system_clock())

    async def connect(self, service: str) -> asyncpg.Connection:
        """A connection to a service's database as its owner."""
        return await asyncpg.connect(self._postgres.url(service, f"{service}_owner"))

    async def connect_alone(self) -> asyncpg.Connection:
        """A connection to the database of `appends_url` as its owner."""
        return await asyncpg.connect(self._postgres.url(_ALONE, "todos_owner"))


async def _keyring(url: str, wrapping: Keys) -> Keyring:
    """The stack's own signing keys."""
    async with await open_pool(url, application="bench") as pool:
        keyring = Keyring(pool, wrapping, system_clock)
        await keyring.read()
    return keyring


@contextmanager
def running() -> Iterator[Stack]:
    """Start a stack and the echo; stop them and remove their data. Raises `StartError`."""
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    os.environ.setdefault("TODOS_PER_PERSON", "100000000")
    (REPOSITORY / "var").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=REPOSITORY / "var"))
    supervisor = Supervisor(Layout(ports.free_port(), folder))
    echo = _echo(supervisor)
    try:
        supervisor.start()
        supervisor.postgres.create_database(_ALONE, service="todos")
        asyncio.run(migrate_database("todos", supervisor.postgres.url(_ALONE, "todos_owner")))
        echo.start()
        port = supervisor.layout.port_base + _ECHO
        wait_until(lambda: parts.status(port, "/healthz/ready") == 200, within=30, otherwise=lambda: "no echo")
        yield Stack(supervisor)
    finally:
        echo.stop()
        supervisor.stop()
        shutil.rmtree((folder / "data").resolve(), ignore_errors=True)
        shutil.rmtree(folder)


def _echo(supervisor: Supervisor) -> parts.Program:
    layout = supervisor.layout
    urls = {"DATABASE_URL": supervisor.postgres.url(_ALONE, "todos"), "NATS_URL": supervisor.nats.url("todos")}
    environment = service_environment("todos", layout, supervisor.secrets, urls)
    environment["PORT"] = str(layout.port_base + _ECHO)
    return parts.Program([sys.executable, "-m", "bench.echo"], log=layout.logs / "echo.log", env=environment)
