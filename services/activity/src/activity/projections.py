"""Projections: tables built from the archive alone, in its order, live and in a rebuild alike."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import asyncpg
import structlog
from msgspec import Struct

from activity.tables import SQL
from events.beat import beat
from events.erasure import hold_off
from events.health import Check
from events.postgres import AWAY, Connection, is_too_slow

EVERY: Final = 1.0
PAUSE: Final = 0.5
"""Between two rounds: figures half a second older take a fraction of the commits (docs/adr/0034)."""
BATCH: Final = 5_000
LATE: Final = 10_000
"""Events behind the archive from which on figures are called late."""

log = structlog.get_logger(__name__)

Report: TypeAlias = Callable[[int, int], None]
"""Told how far a build is, and where the archive ends."""
Steps: TypeAlias = tuple[str, ...]
"""Statements that take build, after and up to: over any slices of the archive they add the same rows."""

PROJECTIONS: Final[dict[str, dict[int, Steps]]] = {
    "actions": {1: (SQL.actions_zones, SQL.actions_counted, SQL.actions_moved)},
    "sign_ins": {1: (SQL.sign_ins_counted,)},
    "messages": {1: (SQL.messages_counted,)},
    "hearing": {1: (SQL.hearings_counted,)},
}
"""What is built, by the versions of its definition. An earlier one stays until nobody has it live."""


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


async def in_state(connection: Connection | asyncpg.Pool, projection: str, state: str) -> Build | None:
    """The build of a projection in a state."""
    found = [each for each in await builds(connection) if (each.projection, each.state) == (projection, state)]
    return found[0] if found else None


def newest(projection: str) -> int:
    """The newest version of a projection's definition."""
    return max(PROJECTIONS[projection])


async def add_build(connection: Connection | asyncpg.Pool, projection: str, version: int, state: str) -> Build:
    """Begin a build; raises asyncpg's `UniqueViolationError` where one is in this state already."""
    id_: int = await connection.fetchval(SQL.add_build, projection, version, state)
    return Build(id_, projection, version, state, 0)


async def advance(pool: asyncpg.Pool, build: Build, limit: int) -> tuple[int, int]:
    """Put the next up to `limit` events of the archive into a build; its position then, and the archive's end.

    Raises `LookupError` for a build that is gone, or of a version that this program does not know.
    """
    async with pool.acquire() as connection, connection.transaction():
        return await advance_in(connection, build, limit)


async def advance_in(connection: Connection, build: Build, limit: int) -> tuple[int, int]:
    """`advance` in a transaction of the caller's, which holds the build until it ends."""
    steps = PROJECTIONS[build.projection][build.version]
    await hold_off(connection)  # or an event read before its person's erasure would be written after it
    row = await connection.fetchrow(SQL.advance_lock, build.id)
    if row is None:
        raise LookupError(f"build {build.id} of {build.projection} is gone")
    position, end = row["position"], row["last_number"]
    upto = min(position + limit, end)
    if upto > position:
        for step in steps:
            await connection.execute(step, build.id, position, upto)
        await connection.execute(SQL.advance_to, build.id, upto)
    return upto, end


async def catch_up(pool: asyncpg.Pool, build: Build, limit: int, report: Report) -> int:
    """Put everything that is in the archive into a build, up to `limit` events at a time; its position then.

    Fewer where so many take too long: an event may tell of thousands.
    """
    position, end, part = 0, 1, limit
    while position < end:
        try:
            position, end = await advance(pool, build, part)
        except asyncpg.PostgresError as error:
            if part == 1 or not is_too_slow(error):
                raise
            part //= 2
        else:
            part = min(limit, part * 2)
            report(position, end)
    return position


class Projections:
    """Keeps the live builds up with the archive while `run` runs."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._news = asyncio.Event()
        self._behind: dict[str, int] = {}
        self._trouble: dict[str, str] = {}

    def wake(self) -> None:
        """The archive has grown."""
        self._news.set()

    def check(self) -> Check:
        """ok, or late while figures are far behind the archive."""
        if self._trouble:
            return Check("projections", "late", "; ".join(self._trouble.values()))
        name, behind = max(self._behind.items(), key=lambda each: each[1], default=("", 0))
        return Check("projections", "late", f"{name} is {behind} events behind") if behind > LATE else _OK

    async def run(self) -> None:
        """Advance until cancelled."""
        while True:
            self._news.clear()
            behind = await self._behind_the_archive()
            for projection in behind:
                try:
                    await self.catch_up(projection)
                    self._trouble.pop(projection, None)
                except (LookupError, *AWAY) as error:
                    if projection not in self._trouble:
                        log.warning("figures stand still", projection=projection, error=type(error).__name__)
                    self._trouble[projection] = f"{projection} stands still: {type(error).__name__}"
            if behind:
                await asyncio.sleep(PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(beat(EVERY)):
                    await self._news.wait()

    async def _behind_the_archive(self) -> Sequence[str]:
        """The projections with something to do: all where that cannot be asked, so that each says what is wrong."""
        try:
            end = await self._pool.fetchval(SQL.archive_end)
            live = {build.projection: build for build in await builds(self._pool) if build.state == "live"}
        except AWAY:
            return tuple(PROJECTIONS)
        done = {
            name for name, build in live.items() if build.position == end and build.version in PROJECTIONS.get(name, ())
        }
        return [name for name in PROJECTIONS if name in self._trouble or name not in done]

    async def catch_up(self, projection: str) -> None:
        """Put everything that is in the archive into the live build, which is made here where there is none."""
        build = await in_state(self._pool, projection, "live") or await self._first(projection)

        def report(position: int, end: int) -> None:
            self._behind[projection] = end - position

        if build:
            await catch_up(self._pool, build, BATCH, report)

    async def _first(self, projection: str) -> Build | None:
        """The first build of a projection; None where another instance made it just now."""
        try:
            return await add_build(self._pool, projection, newest(projection), "live")
        except asyncpg.UniqueViolationError:
            return None


_OK: Final = Check("projections", "ok")
