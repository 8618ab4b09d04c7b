"""A simulated PostgreSQL server and what asyncpg shows of it: connections with latency, loss and late answers.

A request that was sent may be executed whatever becomes of its sender; an answer may be late or lost. So a commit can
be known, unknown and done, or unknown and never have happened.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from typing import Any

import asyncpg

from events.postgres import CONNECT_TIMEOUT
from simulation.loop import PROCESS, Loop
from simulation.network import Network
from simulation.pool import Block
from simulation.session import Session
from simulation.tables import Row, Store

ACTOR: ContextVar[Any] = ContextVar("actor")
"""On whose behalf a statement is sent, for the invariants."""


class Server:
    """The server's side of every connection. `asked` is told of each statement before it is executed."""

    def __init__(self, loop: Loop, network: Network, store: Store) -> None:
        self.loop = loop
        self.network = network
        self.store = store
        self.process = loop.process("postgres")
        self.sessions: list[Session] = []
        self.pids = count(1)
        self.is_up = True
        self.is_over = False
        self.asked: Callable[[str, str], None] = lambda *_: None

    async def dial(self) -> "Connection":
        """Open a connection from the process that asks."""
        await asyncio.sleep(self.network.delay())
        if not self.is_up or self.is_over:
            raise ConnectionRefusedError
        connection = Connection(self)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await connection.execute("select 1")
        except BaseException:
            connection.terminate()
            raise
        return connection

    def restart(self, downtime: float) -> None:
        """Stop and start again: what was open is rolled back, what is committed stays."""
        self.is_up = False
        for session in list(self.sessions):
            session.client.cut()
            session.end()
        self.loop.later(downtime, self.process, self._start)

    def _start(self) -> None:
        self.is_up = True

    def notify(self, channel: str, payload: str) -> None:
        """Tell whoever listens."""
        for session in self.sessions:
            if channel in session.client.listeners:
                session.client.reach(self.network.delay(), session.client.hear, channel, payload)


class Connection:
    """What asyncpg's connection is to the library: one end of a session, in one process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._network = server.network
        self.process = PROCESS.get()
        self.listeners: dict[str, Callable[..., None]] = {}
        self.is_hung = False
        self.slow = 0.0
        self.patience: float | None = None
        self._closed = False
        self._gone = False
        self._calls: list[asyncio.Future[Any]] = []
        self._sent_at = 0.0
        self._answered_at = 0.0
        self.session = Session(server, self)
        self.process.ends.append(self.terminate)

    # What the library calls

    def get_server_pid(self) -> int:
        return self.session.pid

    def is_closed(self) -> bool:
        return self._closed

    def terminate(self) -> None:
        """End this side at once; what was sent may still be executed."""
        if not self._closed:
            self._closed = True
            self.leave(self._network.goodbye())

    async def fetch(self, text: str, *args: Any) -> list[Row]:
        rows: list[Row] = await self._call(text, args)
        return rows

    async def fetchrow(self, text: str, *args: Any) -> Row | None:
        rows = await self.fetch(text, *args)
        return rows[0] if rows else None

    async def fetchval(self, text: str, *args: Any) -> Any:
        rows = await self.fetch(text, *args)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, text: str, *args: Any) -> None:
        await self._call(text, args)

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None:
        await self._call("select 1", ())
        self.listeners[channel] = callback

    def transaction(self) -> Block:
        return Block(self)

    @property
    def is_idle(self) -> bool:
        """Whether a pool may hand it on."""
        return not (self._closed or self._calls or self.session.tx)

    async def _call(self, text: str, args: tuple[Any, ...]) -> Any:
        if self._closed or self._server.is_over:
            raise asyncpg.InterfaceError("connection is closed")
        if self._calls:
            raise asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
        loop = self._server.loop
        future = loop.create_future()
        self._calls = [future]
        if self._gone:
            self.cut()
        self._sent_at = max(self._sent_at, loop.now + self._network.delay(self.slow))
        actor = (self.process, ACTOR.get(None))
        arguments = (future, text, args, actor)
        loop.at(self._sent_at, self._server.process, self.session.arrive, *arguments)
        try:
            async with asyncio.timeout(self.patience):
                answer = await future
        except (asyncio.CancelledError, TimeoutError):
            loop.later(self._network.delay(), self._server.process, self.session.cancel)
            raise
        self._calls = []
        return answer

    # What happens to it

    def cut(self) -> None:
        """The connection breaks: this end learns of it a little later, and the server too."""
        if not self._gone:
            self._gone = True
            self.session.is_deaf = self._network.happens(0.5)
            self.leave(self._network.goodbye())
        if not self.is_hung:
            self.reach(self._network.delay(), self._break)

    def leave(self, after: float) -> None:
        """Have the server notice that nobody is there any more."""
        after = max(after, self._sent_at - self._server.loop.now)
        self._server.loop.later(after, self._server.process, self.session.leave)

    def answer(self, future: asyncio.Future[Any], answer: Any, text: str, args: tuple[Any, ...]) -> None:
        """The server's answer sets off, unless it is lost with the connection."""
        if self.is_hung or self._gone:
            return
        if self._network.loses_answer():
            self.cut()
            return
        loop = self._server.loop
        self._answered_at = max(self._answered_at, loop.now + self._network.delay(self.slow))
        loop.at(self._answered_at, self.process, self._deliver, future, answer)

    def reach(self, after: float, callback: Callable[..., None], *args: Any) -> None:
        """Have something happen in the process at this end."""
        self._server.loop.later(after, self.process, callback, *args)

    def hear(self, channel: str, payload: str) -> None:
        if not self._closed:
            self.listeners[channel](self, 0, channel, payload)

    def _deliver(self, future: asyncio.Future[Any], answer: Any) -> None:
        if self._closed or future.done():
            self._calls = []
            return
        if isinstance(answer, Exception):
            self._calls = []
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _break(self) -> None:
        if self._closed:
            return
        self._closed = True
        for future in self._calls:
            if not future.done():
                future.set_exception(
                    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
                )
