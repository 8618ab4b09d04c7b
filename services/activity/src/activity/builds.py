"""Rebuilding a projection beside the one that is shown, and changing their places."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Final

import asyncpg
from msgspec import Struct

from activity.projections import Build, Report, add_build, advance_in, builds, catch_up, in_state
from activity.tables import SQL
from events.postgres import Connection
from events.sql import filled

BULK: Final = 20_000
"""Events a transaction: far under the time limits of the service's role."""
READERS_MAX: Final = 180.0
"""Seconds after which no reader's transaction is left (`activity.readers`)."""
_AGAIN: Final = 0.5


class Difference(Struct, frozen=True):
    """Rows of a table that only one of two builds has: how many, the first of them by an event of this number."""

    table: str
    rows: int
    first: int


class Rebuilt(Struct, frozen=True):
    """What came of a rebuild: whether it is shown now, at which position, and how it differs from what was."""

    is_shown: bool
    position: int
    differences: Sequence[Difference]


async def rebuild(
    pool: asyncpg.Pool, projection: str, version: int, report: Report, *, accept: bool = False
) -> Rebuilt:
    """Build a projection anew from the archive and show it; what was shown is kept for `roll_back`.

    Goes on where an earlier one was stopped. Where it differs from the live build although both are of one version, one
    of them is wrong: it is left beside it, unless `accept`.
    """
    building = await _building(pool, projection, version)
    position = await catch_up(pool, building, BULK, report)
    live = await in_state(pool, projection, "live")
    differences = await _compare(pool, live, building) if live else []
    if live and differences and live.version == version and not accept:
        return Rebuilt(is_shown=False, position=position, differences=differences)
    if kept := await in_state(pool, projection, "kept"):
        await _drop(pool, kept)
    return Rebuilt(is_shown=True, position=await _show(pool, building), differences=differences)


async def roll_back(pool: asyncpg.Pool, projection: str, report: Report) -> int:
    """Show again what was shown before, once it has caught up; its position.

    Raises `LookupError` where nothing is kept.
    """
    kept = await in_state(pool, projection, "kept")
    if kept is None:
        raise LookupError(f"nothing is kept of {projection}: it was not rebuilt, or rolled back already")
    await catch_up(pool, kept, BULK, report)
    return await _show(pool, kept)


async def _building(pool: asyncpg.Pool, projection: str, version: int) -> Build:
    """The build that was begun, if it is of this version, else a new one."""
    begun = await in_state(pool, projection, "building")
    if begun and begun.version == version:
        return begun
    if begun:
        await _drop(pool, begun)
    return await add_build(pool, projection, version, "building")


async def _drop(pool: asyncpg.Pool, build: Build) -> None:
    """Take a build away, once nobody reads the table that it is a part of; whoever reads too long is ended."""
    deadline = monotonic() + READERS_MAX
    while True:
        try:
            await pool.execute(SQL.drop_build, build.id)
        except asyncpg.LockNotAvailableError:
            if monotonic() > deadline:
                raise
        else:
            return
        await asyncio.sleep(_AGAIN)


async def _compare(pool: asyncpg.Pool, live: Build, building: Build) -> list[Difference]:
    """What two builds differ in up to the position that both have reached."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        positions = [each.position for each in await builds(connection) if each.id in {live.id, building.id}]
        return await _differences(connection, live, building, min(positions))


async def _differences(connection: Connection, live: Build, building: Build, upto: int) -> list[Difference]:
    found = []
    for part in await connection.fetch(SQL.parts, live.projection):
        names = {"part": part["name"], "columns": part["columns"]}
        digest, differences = (filled(query, **names) for query in (SQL.digest, SQL.differences))
        sums = [await connection.fetchrow(digest, each.id, upto) for each in (live, building)]
        if sums[0] != sums[1]:
            [row] = await connection.fetch(differences, live.id, building.id, upto)
            found.append(Difference(part["name"], row["rows"], row["first"]))
    return found


async def _show(pool: asyncpg.Pool, build: Build) -> int:
    """Put a build in the place of the live one, which is kept, in one transaction; its position."""
    async with pool.acquire() as connection, connection.transaction():
        # Held, the live one stays where it is: what is shown must not go back.
        held = await connection.fetchval(SQL.live_lock, build.projection) or 0
        while True:
            position, end = await advance_in(connection, build, BULK)
            if position >= held or position == end:
                break
        await connection.execute(SQL.change_places, build.projection, build.state)
        return position
