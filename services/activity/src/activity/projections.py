"""Projections: tables built from the archive alone, in its order, live and in a rebuild alike."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import asyncpg
import structlog
from msgspec import Struct

from activity.tables import SQL
from events.erasure import hold_off
from events.health import Check
from events.postgres import AWAY, Connection

EVERY: Final = 1.0
BATCH: Final = 5_000
LATE: Final = 10_000
"""Events behind the archive from which on figures are called late."""

log = structlog.get_logger(__name__)


class Projection(Struct, frozen=True):
    """What is built, as a version of its definition, by statements over events after a number up to another.

    Each takes build, after and up to. Over any slices of the archive they add the same rows.
    """

    name: str
    version: int
    steps: tuple[str, ...]


PROJECTIONS: Final = {
    each.name: each for each in (Projection("actions", 1, (SQL.actions_zones, SQL.actions_counted, SQL.actions_moved)),)
}


class Build(Struct, frozen=True):
    """A projection as a version of its definition makes it; `position`: the archive's number up to which it is."""

    id: int
    projection: str
    version: int
    state: str
    position: int


async def builds(connection: Connection | asyncpg.Pool) -> list[Build]:
    """The builds that there are."""
    return [Build(**row) for row in await connection.fetch(SQL.builds)]


async def add_build(connection: Connection | asyncpg.Pool, projection: Projection, state: str) -> Build:
    """Begin a build; raises asyncpg's `UniqueViolationError` where one is in this state already."""
    id_: int = await connection.fetchval(SQL.add_build, projection.name, projection.version, state)
    return Build(id_, projection.name, projection.version, state, 0)


async def advance(pool: asyncpg.Pool, build: Build, limit: int) -> tuple[int, int]:
    """Put the next up to `limit` events of the archive into a build; its position then, and the archive's end."""
    async with pool.acquire() as connection, connection.transaction():
        await hold_off(connection)  # or an event read before its person's erasure would be written after it
        row = await connection.fetchrow(SQL.advance_lock, build.id)
        if row is None:
            raise LookupError(f"build {build.id} of {build.projection} is gone")
        position, end = row["position"], row["last_number"]
        upto = min(position + limit, end)
        if upto > position:
            for step in PROJECTIONS[build.projection].steps:
                await connection.execute(step, build.id, position, upto)
            await connection.execute(SQL.advance_to, build.id, upto)
        return upto, end


class Projections:
    """Keeps the live builds up with the archive while `run` runs."""

    def __init__(self, pool: asyncpg.Pool, projections: Sequence[Projection] = tuple(PROJECTIONS.values())) -> None:
        self._pool = pool
        self._projections = projections
        self._news = asyncio.Event()
        self._behind: dict[str, int] = {}
        self._trouble = ""

    def wake(self) -> None:
        """The archive has grown."""
        self._news.set()

    def check(self) -> Check:
        """ok, or late while figures are far behind the archive."""
        if self._trouble:
            return Check("projections", "late", self._trouble)
        name, behind = max(self._behind.items(), key=lambda each: each[1], default=("", 0))
        return Check("projections", "late", f"{name} is {behind} events behind") if behind > LATE else _OK

    async def run(self) -> None:
        """Advance until cancelled."""
        while True:
            self._news.clear()
            try:
                await self.catch_up()
                self._trouble = ""
            except (LookupError, *AWAY) as error:
                if not self._trouble:
                    log.warning("figures stand still", error=type(error).__name__)
                self._trouble = f"figures stand still: {type(error).__name__}"
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._news.wait()

    async def catch_up(self) -> None:
        """Put everything that is in the archive into the live builds; the first ones are made here."""
        live = {build.projection: build for build in await builds(self._pool) if build.state == "live"}
        for projection in self._projections:
            build = live.get(projection.name) or await self._first(projection)
            if build is None:
                continue
            end, position = 1, 0
            while position < end:
                position, end = await advance(self._pool, build, BATCH)
                self._behind[projection.name] = end - position

    async def _first(self, projection: Projection) -> Build | None:
        """The first build of a projection; None where another instance made it just now."""
        try:
            return await add_build(self._pool, projection, "live")
        except asyncpg.UniqueViolationError:
            return None


_OK: Final = Check("projections", "ok")
