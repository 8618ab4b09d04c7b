"""What is measured side by side behind one face: asked for what it stored and what it did about it. Ours is here."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias

import psutil
from msgspec import Struct

from bench import usage
from bench.counts import SQL, rows_of
from bench.stack import Stack
from events.ids import uuid7

AUTH_ALONE: Final = "auth_alone"
_PLACE: Final = 12  # the port after the base, behind those of other parts of the bench

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


class Ours:
    """The services of the stack; they are always up."""

    def __init__(self, stack: Stack, mails: Count) -> None:
        self._stack = stack
        self._mails = mails

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
    async def auth_alone(self) -> AsyncIterator[Running]:
        """The API role of `auth` on a database that no relay reads: nobody mails."""
        others = usage.started_as("auth")
        with self._stack.beside("auth", AUTH_ALONE, _PLACE, service="auth") as url:
            alone = await self._stack.connect_alone(AUTH_ALONE, "auth")

            async def stored() -> int:
                return int(await alone.fetchval(SQL.codes_asked))

            try:
                processes = [each for each in usage.started_as("auth") if each not in others]
                yield Running(url=url, token="", processes=processes, stored=stored, done=stored)
            finally:
                await alone.close()

    @asynccontextmanager
    async def auth(self) -> AsyncIterator[Running]:
        """`auth`, and the mailer behind it."""
        auth = await self._stack.connect("auth")

        async def stored() -> int:
            return int(await auth.fetchval(SQL.codes_asked))

        try:
            processes = usage.started_as("auth", "mailer")
            yield Running(url=self._stack.auth, token="", processes=processes, stored=stored, done=self._mails)
        finally:
            await auth.close()
