"""Migrations: numbered .sql files, the library's first, then the service's, each once in its own transaction."""

from collections.abc import AsyncIterator, Iterator, Sequence
from importlib.resources import files

import asyncpg

from events.feed import Feed

_RECORD = """
create schema if not exists events;
create table if not exists events.migration (
    package text not null, name text not null, applied_at timestamptz not null default clock_timestamp(),
    primary key (package, name)
)
"""

# However long the other run takes: the role's lock_timeout is meant for rows.
_LOCK = "set lock_timeout = 0; select pg_advisory_lock(hashtext('events.migrate')); reset lock_timeout"


_FEED = """
insert into events.feed as f (name, trimmed) values ($1, $2)
on conflict (name) do update set trimmed = excluded.trimmed where f.trimmed <> excluded.trimmed
"""


def has_migrations(service: str) -> bool:
    """Whether a service's package is here and brings any."""
    try:
        return service.isidentifier() and any(_migrations_of(service))
    except (ImportError, OSError):
        return False


async def migrate(connection: asyncpg.Connection, service: str, *, role: str, feeds: Sequence[Feed]) -> list[str]:
    """Bring a service's database up to date; returns the names of what was applied now.

    `connection` is the owner's; `role` is the runtime role that migrations grant rights to (`:role` in their text);
    `feeds` are the feeds that this service publishes. Two runs at once wait for each other (advisory lock).
    """
    await connection.execute(_LOCK)
    try:
        await connection.execute(_RECORD)
        applied = [name async for name in _apply_all(connection, service, role)]
        await connection.executemany(_FEED, [(feed.name, feed.trimmed) for feed in feeds])
    finally:
        await connection.execute("select pg_advisory_unlock(hashtext('events.migrate'))")
    return applied


async def _apply_all(connection: asyncpg.Connection, service: str, role: str) -> AsyncIterator[str]:
    known = {
        (row["package"], row["name"]) for row in await connection.fetch("select package, name from events.migration")
    }
    quoted = '"' + role.replace('"', '""') + '"'
    for package in dict.fromkeys(("events", service)):
        for name, text in _migrations_of(package):
            if (package, name) in known:
                continue
            async with connection.transaction():
                await connection.execute(text.replace(":role", quoted))
                await connection.execute("insert into events.migration (package, name) values ($1, $2)", package, name)
            yield f"{package}/{name}"


def _migrations_of(package: str) -> Iterator[tuple[str, str]]:
    folder = files(package) / "sql" / "migrations"
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".sql"):
            yield entry.name, entry.read_text()
