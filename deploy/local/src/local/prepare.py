"""What the services find when they start: migrated databases and the declared streams."""

import asyncio
from collections.abc import Callable

import asyncpg
import nats
from nats.js import JetStreamContext

from events import streams
from events.catalog.feeds import feeds_of
from events.migrate import migrate
from events.sql import load
from local.child import StartError

OwnerUrl = Callable[[str], str]
_TIMEOUT = 60.0


async def prepare(services: list[str], owner_url: OwnerUrl, nats_url: str) -> None:
    """Migrate the services' databases, then apply the streams; raises StartError."""
    try:
        async with asyncio.timeout(_TIMEOUT), asyncio.TaskGroup() as group:
            for service in services:
                group.create_task(_migrate(service, owner_url(service)))
        async with asyncio.timeout(_TIMEOUT):
            await _apply_streams(services, owner_url, nats_url)
    except (ExceptionGroup, asyncpg.PostgresError, nats.errors.Error, OSError) as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        raise StartError(f"databases and streams cannot be prepared: {type(cause).__name__}: {cause}") from error


async def _migrate(service: str, url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await migrate(connection, service, role=service, feeds=tuple(feed.name for feed in feeds_of(service)))
    finally:
        await connection.close()


async def _apply_streams(services: list[str], owner_url: OwnerUrl, nats_url: str) -> None:
    client = await nats.connect(nats_url, allow_reconnect=False)
    try:
        for service in services:
            await _apply_streams_of(service, owner_url(service), client.jetstream(timeout=5))
    finally:
        await client.close()


async def _apply_streams_of(service: str, url: str, js: JetStreamContext) -> None:
    """A stream that is made anew begins at the oldest number still in the log."""
    connection = await asyncpg.connect(url)
    try:
        for feed in feeds_of(service):
            oldest = await connection.fetchval(load("events").feed_bounds, feed.name)
            await streams.apply(js, feed, first_seq=oldest)
    finally:
        await connection.close()
