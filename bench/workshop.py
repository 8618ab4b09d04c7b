"""PostgreSQL and NATS of a stack without its services: a stage is measured alone, in a worker process of its own."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil

from bench.stack import own_folder
from local import parts, ports
from local.environment import service_environment
from local.folders import data_folder
from local.layout import SERVICES, Layout
from local.nats import Nats
from local.postgres import Postgres
from local.prepare import migrate_database, prepare
from local.secret import load_or_make
from local.supervisor import nats_of

_ALWAYS = 9  # the first port after the services': a second NATS, and its monitor one above


class Workshop:
    """Both servers, migrated databases, streams; `always` is a second NATS that flushes before it acknowledges."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(ports.free_port(), folder)
        self._secrets = load_or_make(folder / "secrets.json")
        data, logs = data_folder(self.layout), self.layout.logs
        password = self._secrets.postgres.__getitem__
        port = self.layout.postgres_port
        self.postgres = Postgres(data / "postgres", port, password, log=logs / "postgres.log")
        self.nats = nats_of(self._secrets, data / "nats", self.layout.nats_port, log=logs / "nats.log")
        port = self.layout.port_base + _ALWAYS
        self.always = nats_of(self._secrets, data / "always", port, log=logs / "always.log")
        self.always.sync_interval, self.always.monitor_port = "always", port + 1

    def start(self) -> None:
        """Start, migrate, make the streams; raises `StartError`."""
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        for server in (self.postgres, self.nats, self.always):
            server.start()
        for service in SERVICES:
            self.postgres.create_database(service)
        for nats in (self.nats, self.always):
            asyncio.run(prepare(list(SERVICES), lambda name: self.postgres.url(name, f"{name}_owner"), nats.url()))

    def stop(self) -> None:
        """Stop; the data is of no more use."""
        for server in (self.always, self.nats, self.postgres):
            server.stop()

    async def add_database(self, name: str, service: str) -> None:
        """A further database of a service, migrated."""
        await asyncio.to_thread(self.postgres.create_database, name, service=service)
        await migrate_database(service, self.postgres.url(name, f"{service}_owner"))

    async def connect(self, database: str, service: str) -> asyncpg.Connection:
        """A connection to a database of a service as its owner, who may take as long as it takes."""
        patient = {"statement_timeout": "0", "transaction_timeout": "0"}
        return await asyncpg.connect(self.postgres.url(database, f"{service}_owner"), server_settings=patient)

    @contextmanager
    def worker(self, service: str, database: str, nats: Nats) -> Iterator[psutil.Process]:
        """`python -m SERVICE worker` while the body runs."""
        urls = {"DATABASE_URL": self.postgres.url(database, service), "NATS_URL": nats.url(service)}
        environment = service_environment(service, self.layout, self._secrets, urls)
        log = self.layout.logs / f"{database}.log"
        program = parts.Program([sys.executable, "-m", service, "worker"], log=log, env=environment)
        program.start()
        assert program.child is not None
        try:
            yield psutil.Process(program.child.process.pid)
        finally:
            program.stop()


@contextmanager
def opened() -> Iterator[Workshop]:
    """A workshop on free ports in a folder of its own, gone afterwards. Raises `StartError`."""
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    with own_folder() as folder:
        workshop = Workshop(folder)
        try:
            workshop.start()
            yield workshop
        finally:
            workshop.stop()
