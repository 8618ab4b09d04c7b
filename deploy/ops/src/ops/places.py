"""The databases of the services and their broker, as an operator reaches them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from events.access import Access, connect
from events.errors import EventsError
from events.postgres import AWAY, Connection, dialer
from events.pull import PullBroken

_PATIENCE = 10.0
_CONNECT = 3.0


class Unreachable(EventsError):
    """A database or the broker does not answer; the message says which."""


class Places:
    """Opens connections for one question each, of at most `patience` seconds; None: each call by itself."""

    def __init__(self, databases: Mapping[str, str], broker: Access, hears: Mapping[str, tuple[str, ...]]) -> None:
        """`hears`: the feeds of every service there is, whether its database is named or not."""
        self.services = tuple(databases)
        self.hears = hears
        self.broker = broker
        self._databases = databases

    def url(self, service: str) -> str:
        """Where a service's database is; raises `Unreachable` where nobody said."""
        if service not in self._databases:
            raise Unreachable(f"DATABASE_URLS does not name {service}")
        return self._databases[service]

    @asynccontextmanager
    async def database(self, service: str, patience: float | None = _PATIENCE) -> AsyncIterator[Connection]:
        """A connection to a service's database; raises `Unreachable`, also when it breaks inside the block."""
        url = self.url(service)
        try:
            async with asyncio.timeout(patience):
                connection = await dialer(url, application="todo-ops", patience=_PATIENCE)()
                try:
                    yield connection
                finally:
                    connection.terminate()
        except asyncpg.InsufficientPrivilegeError:
            raise Unreachable(f"the role for {service} may not do that: DATABASE_URLS must name its owner") from None
        except AWAY as error:
            raise Unreachable(f"the database of {service} does not answer: {type(error).__name__}") from error

    @asynccontextmanager
    async def jetstream(self) -> AsyncIterator[JetStreamContext]:
        """JetStream for a block; raises `Unreachable`, also when it breaks inside the block."""
        async with self.nats() as client:
            yield client.jetstream(timeout=2)

    @asynccontextmanager
    async def nats(self, patience: float | None = _PATIENCE) -> AsyncIterator[Client]:
        """A connection to the broker; raises `Unreachable`, also when it breaks inside the block."""
        try:
            async with asyncio.timeout(patience):
                client = await self._connected()
                try:
                    yield client
                finally:
                    await client.close()
        except (nats.errors.Error, PullBroken, OSError, TimeoutError) as error:
            raise Unreachable(f"NATS does not answer: {type(error).__name__}") from error

    async def _connected(self) -> Client:
        async with asyncio.timeout(_CONNECT):  # nats-py itself tries for ever
            return await connect(self.broker, name="todo-ops", connect_timeout=2, error_cb=_quiet)


async def _quiet(_: Exception) -> None:
    """What goes wrong is raised where it is asked for."""
