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
import psutil

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
from local.nats import Nats
from local.postgres import Postgres
from local.prepare import migrate_database
from local.supervisor import Supervisor

_ECHO: Final = 10  # the first port after the services'
_ALONE: Final = "todos_alone"  # a to-do service's database that no relay reads


class Servers:
    """PostgreSQL and NATS, with databases for who is measured beside the services."""

    def __init__(self, postgres: Postgres, nats: Nats) -> None:
        self.postgres = postgres
        self.nats = nats

    @property
    def broker_url(self) -> str:
        """NATS, as who may do everything."""
        return self.nats.url()

    def bare_database(self, name: str) -> str:
        """A further database with nothing in it; gives its URL as the to-do service's runtime role."""
        self.postgres.create_database(name, service="todos")
        return self.postgres.url(name, "todos")

    async def connect_alone(self, database: str = _ALONE, service: str = "todos") -> asyncpg.Connection:
        """A connection as its owner to such a database, or to the one that no relay reads."""
        return await asyncpg.connect(self.postgres.url(database, f"{service}_owner"))


class Stack(Servers):
    """A stack that is up."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        layout = supervisor.layout
        super().__init__(supervisor.postgres, supervisor.nats)
        self.todos = layout.service_url("todos")
        self.echo = ""
        self.data = self.postgres.data
        self.alone_url = self.postgres.url(_ALONE, "todos_owner")
        wrapping = read_keys(supervisor.secrets.keys["KEY_WRAPPING_KEYS"], size=32)
        keyring = asyncio.run(_keyring(self.postgres.url("auth", "auth"), wrapping))
        self._tokens = AccessTokens(keyring, issuer=layout.gateway, audience="todo")

    def token(self, user_id: UUID, *roles: str) -> str:
        """An access token for ten minutes, signed with the stack's own key."""
        return self._tokens.sign(user_id, uuid7(), roles, None, system_clock())

    @property
    def todos_url(self) -> str:
        """The to-do service's database, as its runtime role."""
        return self.postgres.url("todos", "todos")

    @property
    def activity(self) -> str:
        """Where activity answers."""
        return self._supervisor.layout.service_url("activity")

    @property
    def activity_url(self) -> str:
        """Activity's database, as its runtime role."""
        return self.postgres.url("activity", "activity")

    @property
    def auth(self) -> str:
        """Where auth answers."""
        return self._supervisor.layout.service_url("auth")

    @property
    def notifier(self) -> str:
        """Where the notifier answers."""
        return self._supervisor.layout.service_url("notifier")

    def memory(self, service: str) -> int:
        """The resident bytes of a service's process."""
        child = self._supervisor.parts[service].child
        assert child is not None
        return int(psutil.Process(child.process.pid).memory_info().rss)

    def stop(self, *services: str) -> None:
        """Services that are not measured leave the cores to those that are."""
        for service in services:
            self._supervisor.services[service].stop()

    def start_anew(self, service: str) -> None:
        """A service in a new process, once it is ready."""
        self._restart(service, self._supervisor.services[service])

    def api_alone(self, service: str) -> None:
        """A service that answers and publishes nothing: who speaks in its place is no second relay."""
        log, environment = self._supervisor.layout.logs / f"{service}.log", self._environment(service, service)
        command: list[str | Path] = [sys.executable, "-m", service, "api"]
        self._restart(service, parts.Program(command, log=log, env=environment))

    def _restart(self, service: str, program: parts.Program) -> None:
        self.stop(service)
        self._supervisor.services[service] = program
        program.start()
        port, ready = self._supervisor.layout.service_port(service), "/healthz/ready"
        wait_until(lambda: parts.status(port, ready) == 200, within=30, otherwise=lambda: f"{service} is not ready")

    def _environment(self, service: str, database: str) -> dict[str, str]:
        urls = {"DATABASE_URL": self.postgres.url(database, service), "NATS_URL": self.nats.url(service)}
        return service_environment(service, self._supervisor.layout, self._supervisor.secrets, urls)

    def add_database(self, name: str, service: str = "todos") -> None:
        """A further database of a service, migrated."""
        self.postgres.create_database(name, service=service)
        asyncio.run(migrate_database(service, self.postgres.url(name, f"{service}_owner")))

    @contextmanager
    def beside(
        self, module: str, database: str, place: int, *, role: str = "api", service: str = "todos"
    ) -> Iterator[str]:
        """`python -m MODULE ROLE` on a database of a service while the body runs, on port base + `place`.

        Gives its URL.
        """
        layout = self._supervisor.layout
        port = layout.port_base + place
        environment = self._environment(service, database) | {"PORT": str(port)}
        log = layout.logs / f"{module}-{database}.log"
        program = parts.Program([sys.executable, "-m", module, role], log=log, env=environment)
        program.start()
        try:
            wait_until(lambda: parts.status(port, "/healthz/ready") == 200, within=30, otherwise=lambda: f"no {module}")
            yield f"http://127.0.0.1:{port}"
        finally:
            program.stop()

    async def connect(self, service: str) -> asyncpg.Connection:
        """A connection to a service's database as its owner."""
        return await asyncpg.connect(self.postgres.url(service, f"{service}_owner"))


async def _keyring(url: str, wrapping: Keys) -> Keyring:
    """The stack's own signing keys."""
    async with await open_pool(url, application="bench") as pool:
        keyring = Keyring(pool, wrapping, system_clock)
        await keyring.read()
    return keyring


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for a stack's files, removed with its data after the body."""
    (REPOSITORY / "var").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=REPOSITORY / "var"))
    try:
        yield folder
    finally:
        shutil.rmtree((folder / "data").resolve(), ignore_errors=True)
        shutil.rmtree(folder)


@contextmanager
def running() -> Iterator[Stack]:
    """Start a stack; stop it and remove its data. Raises `StartError`."""
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    os.environ.setdefault("TODOS_PER_PERSON", "100000000")
    with own_folder() as folder:
        supervisor = Supervisor(Layout(ports.free_port(), folder))
        try:
            supervisor.start()
            stack = Stack(supervisor)
            stack.add_database(_ALONE)
            with stack.beside("bench.echo", _ALONE, _ECHO) as stack.echo:
                yield stack
        finally:
            supervisor.stop()
