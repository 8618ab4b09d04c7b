"""A whole stack to break: how its parts are reached, killed, asked; its disks, its wires, its mail server."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import nats
import psutil
from nats.aio.client import Client
from nats.js import JetStreamContext

from faults.disks import Disk
from faults.post import Post
from faults.waiting import until
from faults.wires import Wires
from local import ports
from local.layout import SERVICES, layout
from local.stack import Stack

BACKING: Final = ("nats", "postgres")
_MAIL: Final = 15
_SIZES: Final = {"nats": 512, "postgres": 2048}


class World:
    """A stack of our own. Where it is `wired`, services reach NATS and PostgreSQL through `wires`, people the gateway.

    Where it `mounts`, the data of those two lie on file systems of their own.
    """

    def __init__(self, *, wired: bool = False, mounts: bool = False) -> None:
        self.base = ports.free_port()
        self.stack = Stack(layout({"PORT_BASE": str(self.base)}))
        self.post = Post(self.base + _MAIL)
        self.disks: dict[str, Disk] = {}
        self.wires: Wires | None = None
        self._wired, self._mounts = wired, mounts
        self.environment: dict[str, str] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="todo-faults-"))
        self._clock = self.folder / "clock"
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._databases: dict[str, asyncpg.Connection] = {}
        self._client: Client | None = None

    def start(self) -> None:
        """Start everything, and wait until it is ready."""
        self.folder.chmod(0o711)
        where = self.stack.layout
        where.folder.mkdir(parents=True, exist_ok=True)
        if self._mounts:
            data = self.folder / "data"
            self.disks = {name: Disk(data / name, _SIZES[name]) for name in BACKING}
            data.chmod(0o711)
            (where.folder / "data").symlink_to(data)
        self.environment |= {
            "CLOCK_FILE": str(self._clock),
            "EARLIER_VERSIONS": "true",
            "MAIL_TRANSPORT": "smtp",
            "SMTP_SERVER": "127.0.0.1",
            "SMTP_PORT": str(self.post.port),
            "SMTP_STARTTLS": "false",
        }
        if self._wired:
            targets = {"nats": where.nats_port, "postgres": where.postgres_port, "gateway": where.port_base}
            self.wires = Wires(self.base, targets)
            self.environment |= {f"SERVICES_{name.upper()}_PORT": str(self.wires.ports[name]) for name in BACKING}
        self.stack.start(self.environment, lambda _: None)

    def stop(self) -> None:
        """Stop and remove everything."""
        with suppress(Exception):
            os.kill(self.pid("supervisor"), signal.SIGCONT)
        self.stack.stop()
        if self.wires is not None:
            self.wires.stop()
        for disk in self.disks.values():
            disk.remove()
        for folder in (self.folder, self.stack.layout.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def keep_logs(self, folder: Path) -> None:
        """Copy the logs of all parts."""
        shutil.copytree(self.stack.layout.logs, folder, dirs_exist_ok=True)

    @property
    def gateway(self) -> str:
        """Where people reach it."""
        return f"http://127.0.0.1:{self.wires.ports['gateway']}" if self.wires else self.stack.gateway

    # --- processes

    def pid(self, part: str) -> int:
        """The process id of a part now."""
        return int(self.stack.details["pids"][part])

    def tree(self, part: str) -> list[psutil.Process]:
        """A part with all its processes."""
        with suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self.pid(part))
            return [leader, *leader.children(recursive=True)]
        return []

    def signal(self, part: str, number: signal.Signals) -> None:
        """Send a signal to a part with all its processes."""
        for process in self.tree(part):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    @contextmanager
    def unsupervised(self) -> Iterator[None]:
        """Nothing that dies is started again meanwhile."""
        supervisor = self.pid("supervisor")
        os.kill(supervisor, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(supervisor, signal.SIGCONT)

    async def gone(self, part: str) -> None:
        """Wait until no process of a part runs any more: a dead one waits for its supervisor."""

        async def look() -> bool:
            return all(each.status() == psutil.STATUS_ZOMBIE for each in self.tree(part) if each.is_running())

        with suppress(psutil.NoSuchProcess):
            await until(look, f"{part} is gone", within=10)

    async def back(self, part: str, *, after: int, within: float = 30) -> None:
        """Wait until a part runs under another id than `after`; one that others lean on also takes connections."""

        async def look() -> bool:
            return self.pid(part) != after

        await until(look, f"{part} is back", within=within)
        port = {"nats": self.stack.layout.nats_port, "postgres": self.stack.layout.postgres_port}.get(part)
        if part == "postgres":
            await until(self._answers, "postgres answers", within=within)
        elif port:
            await until(lambda: _connects(port), f"{part} takes connections", within=within)

    async def _answers(self) -> bool:
        try:
            return bool(await self.value("todos", "select true"))
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False

    # --- the clock

    def set_clock(self, seconds: float) -> None:
        """Every service reads a time that is so many seconds after the real one."""
        draft = self._clock.with_suffix(".draft")
        draft.write_text(str(seconds))
        draft.replace(self._clock)

    # --- SQL and NATS, past all wires

    @asynccontextmanager
    async def database(self, service: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection as a service's owner, kept for the next one unless something goes wrong in the body."""
        async with self._locks[service]:
            connection = self._databases.pop(service, None)
            if connection is None or connection.is_closed():
                url = self.stack.details["postgres"][f"{service}_owner"]
                connection = await asyncpg.connect(url, timeout=2, command_timeout=20)
            try:
                yield connection
            except BaseException:
                connection.terminate()
                raise
            self._databases[service] = connection

    async def rows(self, service: str, query: str, *values: object) -> list[asyncpg.Record]:
        """The rows of a query."""
        async with self.database(service) as connection:
            return list(await connection.fetch(query, *values, timeout=20))

    async def value(self, service: str, query: str, *values: object) -> Any:
        """The only value of a query."""
        return (await self.rows(service, query, *values))[0][0]

    @asynccontextmanager
    async def jetstream(self) -> AsyncIterator[JetStreamContext]:
        """JetStream as an administrator, over a connection that is kept likewise."""
        async with self._locks["nats"]:
            client, self._client = self._client, None
            if client is None or not client.is_connected:
                async with asyncio.timeout(2):
                    client = await nats.connect(
                        self.stack.details["nats"]["admin"], allow_reconnect=False, connect_timeout=2, error_cb=_quiet
                    )
            try:
                yield client.jetstream(timeout=2)
            except BaseException:
                with suppress(Exception):
                    await asyncio.wait_for(client.close(), 1)
                raise
            self._client = client

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The mail server serves meanwhile; afterwards nothing that was kept is left open."""
        async with self.post.serving():
            try:
                yield
            finally:
                for connection in self._databases.values():
                    connection.terminate()
                if self._client is not None:
                    with suppress(Exception):
                        await asyncio.wait_for(self._client.close(), 1)

    # --- what an operator does

    async def apply_streams(self, service: str) -> None:
        """Make a service's streams anew where they are gone."""
        await self._admin("streams", service)

    async def migrate(self, service: str) -> None:
        """Bring a service's tables to this version, then its streams: what the chart does before an upgrade."""
        await self._admin("migrate", service)
        await self._admin("streams", service)

    async def _admin(self, verb: str, service: str) -> None:
        details = self.stack.details
        environment = os.environ | {
            "DATABASE_URL": details["postgres"][f"{service}_owner"],
            "NATS_URL": details["nats"]["admin"],
        }
        status, said = await _run(environment, "-m", "events.admin", verb, service)
        if status:
            raise RuntimeError(f"{verb} {service}: {said}")

    async def ops(self, *arguments: str) -> tuple[int, str]:
        """The exit code of `todo-ops` and what it wrote to stdout."""
        details = self.stack.details
        urls = ",".join(f"{service}={details['postgres'][service]}" for service in SERVICES)
        environment = {"DATABASE_URLS": urls, "NATS_URL": details["nats"]["admin"]}
        return await _run(os.environ | environment, "-m", "ops", *arguments)

    async def readiness(self, service: str) -> dict[str, str]:
        """What a service says of its parts."""
        async with httpx.AsyncClient(timeout=5) as http:
            answer = await http.get(f"{self.stack.details['services'][service]}/healthz/ready")
        return {check["name"]: check["state"] for check in answer.json()["checks"]}

    async def ready(self, *services: str, within: float = 60) -> None:
        """Wait until services answer and nothing of them is late."""
        for service in services or SERVICES:

            async def well(service: str = service) -> bool:
                try:
                    return set((await self.readiness(service)).values()) <= {"ok"}
                except (httpx.HTTPError, ValueError):
                    return False

            await until(well, f"{service} is well", within=within, every=0.1)


async def _run(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        said, wrong = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, (said or wrong).decode()


async def _connects(port: int) -> bool:
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1)
        greeting = await asyncio.wait_for(reader.read(5), 1)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return greeting.startswith(b"INFO")


async def _quiet(_: Exception) -> None:
    """What goes wrong is raised where it is asked for."""


def fresh_address() -> str:
    """An address that nobody has."""
    return f"{secrets.token_hex(6)}@example.com"
