"""Ours and the peers behind one face: started for a run, asked for what they stored and what they did about it."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import time
from typing import Final, TypeAlias

import asyncpg
import jwt
import nats
import psutil
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from bench import usage
from bench.counts import SQL, rows_of
from bench.smtp import AT_ONCE, Postbox
from bench.stack import Stack
from events.ids import uuid7
from local import parts, ports
from local.child import wait_until
from local.layout import REPOSITORY

_PYTHON: Final = Path(os.environ.get("PEERS", REPOSITORY / ".venv" / "peers")) / "bin" / "python"
_SCHEMA: Final = (REPOSITORY / "bench" / "peers" / "schema.sql").read_text()
_STARTS_WITHIN: Final = 30.0

Count: TypeAlias = Callable[[], Awaitable[int]]


class Running(Struct, frozen=True, kw_only=True):
    """A side that is up: how many requests it has stored, and how many of these it has done its side work for.

    `processes` are those that answer and work for it; what they started counts with them.
    """

    url: str
    token: str
    processes: list[psutil.Process]
    stored: Count
    done: Count
    keeps: bool = True


Side: TypeAlias = Callable[[], AbstractAsyncContextManager[Running]]


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


async def _nothing() -> int:
    return 0


class Peers:
    """Starts peers, one at a time: each with its own database and stream in the stack's servers."""

    def __init__(self, stack: Stack, postbox: Postbox, logs: Path) -> None:
        self._stack = stack
        self._postbox = postbox
        self._logs = logs
        self._port = ports.free_port()
        self._secret = secrets.token_hex(32)
        self._urls: dict[str, str] = {}

    async def prepare(self, name: str) -> None:
        """Make a peer's database."""
        self._urls[name] = self._stack.bare_database(name)
        owner = await self._stack.connect_alone(name)
        await owner.execute(_SCHEMA)
        await owner.close()

    @asynccontextmanager
    async def echo(self) -> AsyncIterator[Running]:
        """The bare ASGI application."""
        async with AsyncExitStack() as leaving:
            web = self._start(leaving, ECHO, self._web(ECHO), {})
            self._wait(ECHO)
            yield Running(url=self._url, token="", processes=[web], stored=_nothing, done=_nothing, keeps=False)

    @asynccontextmanager
    async def peer(self, name: str, *, mails: bool) -> AsyncIterator[Running]:
        """A peer; what it does is mail where `mails` is true, else to write activity rows."""
        kind = PEERS[name]
        environment = self._environment(name)
        async with AsyncExitStack() as leaving:
            database = await self._stack.connect_alone(name)
            leaving.push_async_callback(database.close)
            processes = []
            if kind.has_redis:
                self._start_redis(leaving)
            if kind.worker:
                processes.append(self._start(leaving, f"{name}-worker", kind.worker, environment))
                await self._stream(name)
            processes.append(self._start(leaving, name, self._web(name), environment))
            self._wait(name)
            codes = self._codes if kind.has_redis else _counted(database, "codes")
            stored = codes if mails else _counted(database, "todos")
            done = self._mails if mails else _counted(database, "activities")
            yield Running(url=self._url, token=self._token(), processes=processes, stored=stored, done=done)

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _token(self) -> str:
        claims = {"sub": str(uuid7()), "iat": int(time()), "exp": int(time()) + 3600}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def _environment(self, name: str) -> dict[str, str]:
        return {
            "DATABASE_URL": self._urls[name],
            "NATS_URL": self._stack.broker_url,
            "REDIS_URL": f"redis://127.0.0.1:{self._port + 1}/0",
            "SMTP_PORT": str(self._postbox.port),
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
    ) -> psutil.Process:
        inherited = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
        program = parts.Program([_PYTHON, *arguments], log=self._logs / f"{name}.log", env=inherited | environment)
        program.start()
        leaving.callback(program.stop)
        assert program.child is not None
        return psutil.Process(program.child.process.pid)

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

    async def _mails(self) -> int:
        return (await self._postbox.counts()).mails

    async def _stream(self, name: str) -> None:
        """Wait until the worker has made its stream: before, nothing can be published."""
        client = await nats.connect(self._stack.broker_url)
        try:
            async with asyncio.timeout(_STARTS_WITHIN):
                while not await _exists(client, f"PEER_{name}"):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.05)
        except TimeoutError:
            log = self._logs / f"{name}-worker.log"
            raise TimeoutError(f"{name}'s worker does not start: {log.read_text()[-2000:]}") from None
        finally:
            await client.close()


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


class Ours:
    """The services of the stack; they are always up."""

    def __init__(self, stack: Stack, postbox: Postbox) -> None:
        self._stack = stack
        self._postbox = postbox

    @asynccontextmanager
    async def api_alone(self) -> AsyncIterator[Running]:
        """The API role of `todos` on a database that no relay reads."""
        alone = await self._stack.connect_alone()

        async def stored() -> int:
            return await rows_of(alone)

        try:
            yield Running(
                url=self._stack.echo,
                token=self._stack.token(uuid7()),
                processes=usage.started_as("bench.echo"),
                stored=stored,
                done=stored,
            )
        finally:
            await alone.close()

    @asynccontextmanager
    async def todos(self) -> AsyncIterator[Running]:
        """`todos` with both its roles, and activity behind it."""
        todos, activity = await self._stack.connect("todos"), await self._stack.connect("activity")

        async def stored() -> int:
            return await rows_of(todos)

        async def done() -> int:
            [row] = await activity.fetch(SQL.activity_counts)
            return int(row["entries"])

        try:
            yield Running(
                url=self._stack.todos,
                token=self._stack.token(uuid7()),
                processes=usage.started_as("todos", "activity"),
                stored=stored,
                done=done,
            )
        finally:
            await todos.close()
            await activity.close()

    @asynccontextmanager
    async def auth(self) -> AsyncIterator[Running]:
        """`auth`, and the mailer behind it."""
        auth = await self._stack.connect("auth")

        async def stored() -> int:
            return int(await auth.fetchval(SQL.codes_asked))

        async def done() -> int:
            return (await self._postbox.counts()).mails

        try:
            yield Running(
                url=self._stack.auth, token="", processes=usage.started_as("auth", "mailer"), stored=stored, done=done
            )
        finally:
            await auth.close()
