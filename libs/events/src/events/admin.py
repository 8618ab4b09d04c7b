"""What an operator runs before a service starts, and again after a stream was lost.

`python -m events.admin migrate SERVICE` brings the service's database up to date; the service is a package with
`sql/migrations`, from this repository or elsewhere. `python -m events.admin streams SERVICE` makes its streams or
brings them to their declaration. Both may run again and again, and two at once.
`python -m events.admin nkey` makes a key for a service's NATS user: its seed, and what the server is told of it.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Annotated

import asyncpg
import nats.errors
from msgspec import Meta
from nats.aio.client import Client
from nats.js import JetStreamContext

from events import streams
from events.access import Access, connect, make_seed, public_key
from events.backing import UsesDatabase, UsesServers
from events.catalog.feeds import HEARS, feeds_of
from events.errors import BadSettings, NotMigrated
from events.migrate import has_migrations, migrate
from events.postgres import AWAY
from events.settings import read
from events.sql import load

SQL = load("events")
TIMEOUT = 5
_USAGE = f"usage: python -m events.admin migrate SERVICE, or: ... streams {'|'.join(HEARS)}, or: ... nkey"


class Database(UsesDatabase, frozen=True, kw_only=True):
    """What `migrate` reads from its environment, besides APP_ENV and ALLOW_PLAINTEXT.

    - DATABASE_URL: the service's database, as its owner
    - ROLE: the role that the service runs as, and that gets its rights; the service's name where it is not set
    """

    role: str = ""


class Streams(UsesServers, frozen=True, kw_only=True):
    """What `streams` reads from its environment, besides APP_ENV, ALLOW_PLAINTEXT and NATS_CA_FILE.

    - DATABASE_URL: the service's database, as its owner: a new stream begins at the oldest number of its log
    - NATS_URL, NATS_NKEY_SEED: NATS, as a user that may make streams
    - REPLICAS: copies of each stream, on as many servers of the cluster
    """

    replicas: Annotated[int, Meta(ge=1, le=5)] = 1


async def migrate_service(connection: asyncpg.Connection, service: str, *, role: str = "") -> list[str]:
    """Migrate a service's database as its owner; returns the names of what was applied now."""
    return await migrate(connection, service, role=role or service, feeds=feeds_of(service))


async def apply_streams(
    connection: asyncpg.Connection, js: JetStreamContext, service: str, *, replicas: int = 1
) -> list[str]:
    """Make a service's streams, or bring them to their declaration; returns their names. Raises `NotMigrated`.

    A stream that is made anew begins at the oldest number still in the log, so that event N is message N again.
    """
    feeds = feeds_of(service)
    for feed in feeds:
        bounds = await connection.fetchrow(SQL.feed_bounds, feed.name)
        if bounds is None:
            raise NotMigrated(f"feed {feed.name} is not in this database: migrate {service} first")
        await streams.apply(js, feed, replicas=replicas, first_seq=bounds["oldest"])
    return [feed.name for feed in feeds]


async def _migrate(service: str, settings: Database) -> None:
    connection = await asyncpg.connect(settings.database_url, timeout=TIMEOUT)
    connection.add_log_listener(_warn)
    try:
        applied = await migrate_service(connection, service, role=settings.role)
    finally:
        await connection.close()
    print("\n".join(applied) or "nothing to do")  # noqa: T201 - it talks to a person


def _warn(_: object, message: asyncpg.PostgresLogMessage) -> None:
    """What a migration has to say to a person."""
    if message.severity_en == "WARNING":
        print(f"admin: {message.message}", file=sys.stderr)  # noqa: T201 - as above


async def _apply(service: str, settings: Streams) -> None:
    connection = await asyncpg.connect(settings.database_url, timeout=TIMEOUT)
    try:
        client = await _connect(settings.nats)
        try:
            js = client.jetstream(timeout=TIMEOUT)
            applied = await apply_streams(connection, js, service, replicas=settings.replicas)
        finally:
            await client.close()
    finally:
        await connection.close()
    print("\n".join(applied) or "nothing to do")  # noqa: T201 - as above


async def _connect(access: Access) -> Client:
    try:
        async with asyncio.timeout(TIMEOUT):  # nats-py alone would try a dead address for two minutes
            return await connect(access, name="admin", error_cb=_quiet)
    except TimeoutError:
        raise TimeoutError("NATS does not answer") from None


async def _quiet(_: Exception) -> None:
    """What stops the command is raised."""


def main(arguments: Sequence[str]) -> None:
    """The command line; exits with 1 and a sentence where something is in the way."""
    try:
        match list(arguments):
            case ["migrate", service]:
                if not has_migrations(service):
                    sys.exit(f"admin: there is no package {service} with sql/migrations here\n{_USAGE}")
                asyncio.run(_migrate(service, read(Database)))
            case ["streams", service] if service in HEARS:
                asyncio.run(_apply(service, read(Streams)))
            case ["nkey"]:
                seed = make_seed()
                print(f"NATS_NKEY_SEED={seed}\n{public_key(seed)}")  # noqa: T201 - as above
            case _:
                sys.exit(_USAGE)
    except (BadSettings, NotMigrated, nats.errors.Error, *AWAY) as error:
        sys.exit(f"admin: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
