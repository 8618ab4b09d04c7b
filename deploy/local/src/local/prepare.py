"""What the services find when they start: migrated databases and the declared streams."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import nats

from events.admin import apply_streams, migrate_service
from local.child import StartError

OwnerUrl = Callable[[str], str]
_TIMEOUT = 60.0


async def prepare(services: list[str], owner_url: OwnerUrl, nats_url: str) -> None:
    """Migrate the services' databases, then apply the streams; raises StartError."""
    try:
        async with asyncio.timeout(_TIMEOUT), asyncio.TaskGroup() as group:
            for service in services:
                group.create_task(migrate_database(service, owner_url(service)))
        async with asyncio.timeout(_TIMEOUT):
            await _apply_streams(services, owner_url, nats_url)
    except (ExceptionGroup, asyncpg.PostgresError, nats.errors.Error, OSError) as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        raise StartError(f"databases and streams cannot be prepared: {type(cause).__name__}: {cause}") from error


async def migrate_database(service: str, url: str) -> None:
    """Migrate a service's database as its owner."""
    async with connected(url) as connection:
        await migrate_service(connection, service)


async def _apply_streams(services: list[str], owner_url: OwnerUrl, nats_url: str) -> None:
    client = await nats.connect(nats_url, allow_reconnect=False)
    try:
        for service in services:
            async with connected(owner_url(service)) as connection:
                await apply_streams(connection, client.jetstream(timeout=5), service)
    finally:
        await client.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for as long as the block takes."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
