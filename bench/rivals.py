"""What people would use instead, started for a run: each peer with its own database and stream in the same servers."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import time
from typing import Final

import asyncpg
import jwt
import nats
import psutil
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from bench.counts import SQL
from bench.sides import Count, Running
from bench.smtp import AT_ONCE
from bench.stack import Servers
from events.ids import uuid7
from local import parts, ports
from local.child import wait_until
from local.layout import REPOSITORY

_PYTHON: Final = Path(os.environ.get("PEERS", REPOSITORY / ".venv" / "peers")) / "bin" / "python"
_SCHEMA: Final = (REPOSITORY / "bench" / "peers" / "schema.sql").read_text()
_STARTS_WITHIN: Final = 30.0


class Kind(Struct, frozen=True, kw_only=True):
    """A peer: its worker's arguments to Python (empty: side work in the process), whether it keeps codes in Redis."""

    worker: tuple[str, ...] = ()
    has_redis: bool = False


_TASKIQ: Final = ("--workers", "1", "--max-async-tasks", str(AT_ONCE), "--log-level", "WARNING")
PEERS: Final = {
    "background": Kind(has_redis=True),
    "threaded": Kind(has_redis=True),
    "faststream_orm": Kind(worker=("-m", "bench.peers.faststream_orm")),
    "taskiq_orm": Kind(worker=("-m", "taskiq", "worker", "bench.peers.taskiq_orm:broker", *_TASKIQ)),
    "faststream_asyncpg": Kind(worker=("-m", "bench.peers.faststream_asyncpg")),
}
ECHO: Final = "asgi_echo"


def redis_server() -> str | None:
    """The server that some peers keep codes in, where it is on the PATH."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def startable(names: Sequence[str]) -> tuple[list[str], str]:
    """Those of these peers that can be started here, and what is to be said of the others."""
    there = [name for name in names if redis_server() or not PEERS[name].has_redis]
    skipped = ", ".join(name for name in names if name not in there)
    return there, f"\n\nskipped: {skipped}: neither redis-server nor valkey-server is on the PATH" if skipped else ""


async def _nothing() -> int:
    return 0


class Peers:
    """Starts peers, one at a time: each with its own database and stream in the same servers."""

    def __init__(self, servers: Servers, mail_port: int, logs: Path) -> None:
        self._servers = servers
        self._mail_port = mail_port
        self._logs = logs
        self._port = ports.free_port()
        self._secret = secrets.token_hex(32)
        self._urls: dict[str, str] = {}

    async def prepare(self, name: str) -> None:
        """Make a peer's database."""
        self._urls[name] = self._servers.bare_database(name)
        owner = await self._servers.connect_alone(name)
        await owner.execute(_SCHEMA)
        await owner.close()

    @asynccontextmanager
    async def echo(self) -> AsyncIterator[Running]:
        """The bare ASGI application."""
        async with AsyncExitStack() as leaving:
            web = self._start(leaving, ECHO, self._web(ECHO), {})
            self._wait(ECHO)
            yield Running(
                url=self.url, token="", processes=_processes(web), stored=_nothing, done=_nothing, keeps=False
            )

    @asynccontextmanager
    async def peer(self, name: str, mails: Count | None = None) -> AsyncIterator[Running]:
        """A peer; what it does is mail where something counts `mails`, else to write activity rows."""
        async with AsyncExitStack() as leaving:
            database = await self._servers.connect_alone(name)
            leaving.push_async_callback(database.close)
            programs = await leaving.enter_async_context(self.programs(name))
            codes = self._codes if PEERS[name].has_redis else _counted(database, "codes")
            stored = codes if mails else _counted(database, "todos")
            done = mails or _counted(database, "activities")
            processes = _processes(*programs.values())
            yield Running(url=self.url, token=self.token(), processes=processes, stored=stored, done=done)

    @asynccontextmanager
    async def programs(self, name: str) -> AsyncIterator[Mapping[str, parts.Program]]:
        """What answers (`app`) and, where that is another program, what works (`worker`); up while the body runs."""
        kind, environment = PEERS[name], self._environment(name)
        async with AsyncExitStack() as leaving:
            started = {}
            if kind.has_redis:
                self._start_redis(leaving)
            if kind.worker:
                started["worker"] = self._start(leaving, f"{name}-worker", kind.worker, environment)
                await self._stream(name)
            started["app"] = self._start(leaving, name, self._web(name), environment)
            self._wait(name)
            yield started

    @property
    def url(self) -> str:
        """Where the one that is up answers."""
        return f"http://127.0.0.1:{self._port}"

    def token(self) -> str:
        """An access token of somebody new, for an hour."""
        claims = {"sub": str(uuid7()), "iat": int(time()), "exp": int(time()) + 3600}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def _environment(self, name: str) -> dict[str, str]:
        return {
            "DATABASE_URL": self._urls[name],
            "NATS_URL": self._servers.broker_url,
            "REDIS_URL": f"redis://127.0.0.1:{self._port + 1}/0",
            "SMTP_PORT": str(self._mail_port),
            "SMTP_CONNECTIONS": str(AT_ONCE),
            "JWT_SECRET": self._secret,
            "STREAM": f"PEER_{name}",
        }

    def _web(self, name: str) -> tuple[str, ...]:
        quiet = ("--no-access-log", "--log-level", "warning", "--no-server-header")
        fast = ("--loop", "uvloop", "--http", "httptools", "--timeout-keep-alive", "75")
        return ("-m", "uvicorn", f"bench.peers.{name}:app", "--port", str(self._port), *fast, *quiet)

    def _start(
        self, leaving: AsyncExitStack, name: str, arguments: tuple[str, ...], environment: dict[str, str]
    ) -> parts.Program:
        inherited = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
        program = parts.Program([_PYTHON, *arguments], log=self._logs / f"{name}.log", env=inherited | environment)
        program.start()
        leaving.callback(program.stop)
        return program

    def _wait(self, name: str) -> None:
        log = self._logs / f"{name}.log"
        wait_until(
            lambda: parts.status(self._port, "/") != 0,
            within=_STARTS_WITHIN,
            otherwise=lambda: f"{name} does not answer: {log.read_text()[-2000:]}",
        )

    def _start_redis(self, leaving: AsyncExitStack) -> None:
        server = redis_server()
        assert server is not None
        options = ["--port", str(self._port + 1), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        program = parts.Program([server, *options], log=self._logs / "redis.log")
        program.start()
        leaving.callback(program.stop)
        wait_until(lambda: not ports.is_free(self._port + 1), within=_STARTS_WITHIN, otherwise=lambda: "no Redis")

    async def _codes(self) -> int:
        """The keys in Redis, which has nothing else in it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port + 1)
        writer.write(b"DBSIZE\r\n")
        line = await reader.readline()
        writer.close()
        return int(line[1:])

    async def _stream(self, name: str) -> None:
        """Wait until the worker has made its stream: before, nothing can be published."""
        client = await nats.connect(self._servers.broker_url)
        try:
            async with asyncio.timeout(_STARTS_WITHIN):
                while not await _exists(client, f"PEER_{name}"):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.05)
        except TimeoutError:
            log = self._logs / f"{name}-worker.log"
            raise TimeoutError(f"{name}'s worker does not start: {log.read_text()[-2000:]}") from None
        finally:
            await client.close()


def _processes(*programs: parts.Program) -> list[psutil.Process]:
    return [psutil.Process(program.child.process.pid) for program in programs if program.child]


async def _exists(client: Client, stream: str) -> bool:
    try:
        await client.jetstream().stream_info(stream)
    except NotFoundError:
        return False
    return True


def _counted(database: asyncpg.Connection, what: str) -> Count:
    async def count() -> int:
        row = await database.fetchrow(SQL.peer_counts)
        assert row is not None
        return int(row[what])

    return count
