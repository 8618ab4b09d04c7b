"""What asyncpg adds to its connections: transactions as blocks, and pools."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from simulation.tables import Row

COMMAND_TIMEOUT = 10.0


class Block:
    """`connection.transaction()`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def start(self) -> None:
        await self._connection.execute("begin")

    async def commit(self) -> None:
        await self._connection.execute("commit")

    async def rollback(self) -> None:
        await self._connection.execute("rollback")

    async def __aenter__(self) -> None:
        await self.start()

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            await self.commit()
        else:
            await self.rollback()


class Pool:
    """`asyncpg.Pool`, without a limit: a process here holds a few connections at most."""

    def __init__(self, dial: Callable[[], Awaitable[Any]]) -> None:
        self._dial = dial
        self._idle: list[Any] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        connection = None
        while self._idle and connection is None:
            idle = self._idle.pop()
            connection = idle if idle.is_idle else None
        connection = connection or await self._dial()
        connection.patience = COMMAND_TIMEOUT
        try:
            yield connection
        finally:
            if connection.is_idle:
                self._idle.append(connection)
            else:
                connection.terminate()

    async def fetch(self, text: str, *args: Any) -> list[Row]:
        async with self.acquire() as connection:
            rows: list[Row] = await connection.fetch(text, *args)
            return rows

    async def fetchval(self, text: str, *args: Any) -> Any:
        rows = await self.fetch(text, *args)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, text: str, *args: Any) -> None:
        await self.fetch(text, *args)
