"""Durable appends: group commit beside the same rows written one transaction each, by the same SQL function."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from time import perf_counter
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from bench.counts import assert_durable, reconcile, rows_of
from bench.figures import Run, run_of
from bench.todos import created
from events.command import Command
from events.ids import uuid7
from events.log import Appended, Log, append_last
from events.postgres import dialer

FEED: Final = "TODOS"
_WARM_UP: Final = 10
_PATIENT: Final = {"statement_timeout": "0", "lock_timeout": "0", "transaction_timeout": "0"}
_PERSON: Final = UUID(int=1)

Append: TypeAlias = Callable[[Command], Awaitable[Appended]]
Way: TypeAlias = Callable[[str, int], AbstractAsyncContextManager[list[Append]]]
"""Opens what a number of writers append with, one function each."""


@asynccontextmanager
async def grouped(url: str, writers: int) -> AsyncIterator[list[Append]]:
    """The log as services use it: one lane for all writers."""
    log = Log(FEED, dialer(url, application="bench"))
    lane = asyncio.create_task(log.run())
    try:
        yield [log.append] * writers
    finally:
        lane.cancel()
        await asyncio.wait([lane])


@asynccontextmanager
async def one_by_one(url: str, writers: int) -> AsyncIterator[list[Append]]:
    """A connection for each writer, each command in a transaction of its own, however long it waits for the others."""
    async with AsyncExitStack() as stack:
        connections = [await asyncpg.connect(url, server_settings=_PATIENT) for _ in range(writers)]
        for connection in connections:
            stack.push_async_callback(connection.close)
        yield [_over(connection) for connection in connections]


def _over(connection: asyncpg.Connection) -> Append:
    async def append(command: Command) -> Appended:
        return await append_last(connection, FEED, command)

    return append


GROUPED: Final = "group commit"
ONE_BY_ONE: Final = "one transaction each"
WAYS: Final[dict[str, tuple[Way, int, int]]] = {
    GROUPED: (grouped, 1_000, 24_000),
    ONE_BY_ONE: (one_by_one, 1_000, 3_000),
}
"""How, how many writes by one writer, how many by several: a few seconds of work each."""


async def measure(url: str, way: str, writers: int) -> Run:
    """One run against the database at `url` (its runtime role); raises `Unsound` where the log disagrees."""
    opened, alone, together = WAYS[way]
    commands = [created(uuid7(), _PERSON)[0] for _ in range(alone if writers == 1 else together)]
    looker = await asyncpg.connect(url)
    try:
        await assert_durable(looker)
        before = await rows_of(looker)
        warm_up = [created(uuid7(), _PERSON)[0] for _ in range(writers * _WARM_UP)]
        async with opened(url, writers) as appends:
            await _write(appends, iter(warm_up))  # plans, caches
            run = await timed(appends, commands)
        await reconcile(looker, before, run.answered + writers * _WARM_UP)
    finally:
        await looker.close()
    return run


async def timed(appends: list[Append], commands: list[Command]) -> Run:
    gc.collect()
    gc.freeze()  # the commands stay; a collection would go through all of them
    started = perf_counter()
    latencies = await _write(appends, iter(commands))
    seconds = perf_counter() - started
    gc.unfreeze()
    return run_of(latencies, seconds)


async def _write(appends: list[Append], commands: Iterator[Command]) -> list[float]:
    """Each writer sends its next command when the last one is answered."""
    latencies: list[float] = []

    async def writer(append: Append) -> None:
        for command in commands:
            started = perf_counter()
            await append(command)
            latencies.append(perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for append in appends:
            group.create_task(writer(append))
    return latencies
