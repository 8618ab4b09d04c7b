"""No figure counts before the databases agree with it."""

import asyncio

import asyncpg

from bench.slowdisk import is_slow, longer
from events.sql import load

SQL = load("bench")
_QUIET_WITHIN = 120.0
_STILL = 0.5


class Unsound(Exception):
    """A run's figures mean nothing; the message says what does not fit."""


async def assert_durable(connection: asyncpg.Connection) -> None:
    """Raise `Unsound` where a commit of this role would not be on disk when it is answered."""
    rows = await connection.fetch(SQL.durability)
    off = [row["name"] for row in rows if row["setting"] != "on"]
    if off or len(rows) != 3:
        raise Unsound(f"not durable, so nothing to measure: {', '.join(off)} must be on")
    if longer() and not is_slow(await connection.fetchval("select pg_backend_pid()")):
        raise Unsound("flushes were to take longer, and PostgreSQL could not load what sees to it: look into its log")


async def rows_of(connection: asyncpg.Connection, feed: str = "TODOS") -> int:
    """How many events a log has; raises `Unsound` unless counter, rows, numbers and state rows agree."""
    counts = await connection.fetchrow(SQL.log_counts, feed)
    if counts is None or len(set(counts.values())) != 1:
        raise Unsound(f"{feed}: counter, rows, highest number and state rows differ: {counts}")
    return int(counts["rows"])


async def reconcile(connection: asyncpg.Connection, before: int, answered: int, *, cut_off: int = 0) -> None:
    """Raise `Unsound` unless a log grew by what was answered, and at most by `cut_off` requests that nobody awaited."""
    grown = await (_rows_at_rest(connection) if cut_off else rows_of(connection)) - before
    if not answered <= grown <= answered + cut_off:
        raise Unsound(f"{answered} writes were answered, the log grew by {grown}")


async def _rows_at_rest(connection: asyncpg.Connection) -> int:
    """The rows of a log once the requests that nobody awaits any more are through: when it stays as it is."""
    rows, last = await rows_of(connection), -1
    while rows != last:
        await asyncio.sleep(_STILL)
        rows, last = await rows_of(connection), rows
    return rows


async def heard(activity: asyncpg.Connection, events: int) -> None:
    """Wait until activity has heard so many to-do events, each once; raises `Unsound`, after a while `TimeoutError`."""
    counts: dict[str, int] = {}
    async with asyncio.timeout(_QUIET_WITHIN):
        while counts.get("heard", 0) < events:
            await asyncio.sleep(_STILL / 10)
            [row] = await activity.fetch(SQL.activity_counts)
            counts = dict(row)
    if set(counts.values()) != {events}:
        raise Unsound(f"the log has {events} events, activity differs: {counts}")
