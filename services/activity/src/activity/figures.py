"""The figures of a metric as of a position of the archive, written into a file."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import date, datetime
from tempfile import SpooledTemporaryFile
from time import monotonic
from typing import IO, Any, Final, TypeAlias
from uuid import UUID

import asyncpg
from msgspec import Struct
from msgspec.structs import asdict

from activity.formats import Column, writer_of
from activity.metrics import Metric
from activity.tables import SQL
from events.postgres import Connection
from events.sql import filled

ROWS_MAX: Final = 1_000_000
IN_MEMORY: Final = 1 << 20
CHUNK: Final = 5_000
PATIENCE: Final = 2.0
_POLL: Final = 0.05

AsOf: TypeAlias = int | datetime | None
"""A position of the archive, a moment, or now."""


class Beyond(Exception):
    """What is asked for lies in the future: a moment, or a position that the archive has not reached."""


class NotYet(Exception):
    """The figures are behind what is asked for."""


class TooMany(Exception):
    """There are more rows than were asked for."""


class Question(Struct, frozen=True, kw_only=True):
    """What is asked of a metric: about one person, or everybody; from a day to another, or all."""

    metric: Metric
    person: UUID | None = None
    since: date | None = None
    until: date | None = None
    as_of: AsOf = None
    limit: int = 10_000


class Reflected(Struct, frozen=True):
    """What figures reflect: events up to a position of the archive, which was there at a moment."""

    metric: str
    metric_version: int
    position: int
    reflects: datetime | None


class Figures:
    """Answers questions, as many at once as the pool has connections."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def columns(self) -> list[asyncpg.Record]:
        """The columns of every view: `view`, `name`, `type`, `meaning`."""
        return await self._pool.fetch(SQL.columns)

    async def versions(self) -> dict[str, int]:
        """The versions of the projections that are shown."""
        rows = await self._pool.fetch(SQL.shown)
        return {row["projection"]: row["version"] for row in rows}

    async def position_of(self, as_of: AsOf, now: datetime) -> int | None:
        """The position of the archive that is meant; None for now. Raises `Beyond`."""
        if not isinstance(as_of, datetime):
            return as_of
        if as_of > now:
            raise Beyond
        await self._pool.execute(SQL.fence, as_of)
        return await self._pool.fetchval(SQL.number_at, as_of) or 0

    async def write(
        self, question: Question, position: int | None, media: str, head: dict[str, Any]
    ) -> tuple[Reflected, IO[bytes]]:
        """The answer in a file that is at its beginning; raises `Beyond`, `NotYet` or `TooMany`.

        A file, for whoever fetches it slowly must hold no snapshot of the database.
        """
        with ExitStack() as unfinished:
            file: IO[bytes] = unfinished.enter_context(SpooledTemporaryFile(max_size=IN_MEMORY))
            await self._wait(question.metric, position)
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                told = await self._write(connection, question, position, file, media=media, head=head)
            unfinished.pop_all()  # whoever sends it closes it
        file.seek(0)
        return told, file

    async def _wait(self, metric: Metric, position: int | None) -> None:
        """Wait until figures are there, and have reached a position; over no connection, for there are few."""
        deadline = monotonic() + PATIENCE
        while True:
            row = await self._pool.fetchrow(SQL.reflected, metric.projection)
            if row and position is not None and position > row["heard_to"]:
                raise Beyond
            if row and (position is None or position <= row["built_to"]):
                return
            if monotonic() > deadline:
                raise NotYet
            await asyncio.sleep(_POLL)

    async def _write(
        self,
        connection: Connection,
        question: Question,
        position: int | None,
        file: IO[bytes],
        *,
        media: str,
        head: dict[str, Any],
    ) -> Reflected:
        await connection.execute(SQL.as_of, "" if position is None else str(position))
        [row] = await connection.fetch(SQL.reflected, question.metric.projection)
        reflects = question.as_of if isinstance(question.as_of, datetime) else row["reflects"]
        told = Reflected(question.metric.name, row["version"], row["position"], reflects)
        filters, values = _filters(question)
        counting = _filled(SQL.figures_counted, question.metric, filters, limit=question.limit + 1)
        if await connection.fetchval(counting, *values) > question.limit:
            raise TooMany
        statement = await connection.prepare(_filled(SQL.figures, question.metric, filters))
        columns = [Column(each.name, each.type.name) for each in statement.get_attributes()]
        with closing(writer_of(media, file, columns, head | asdict(told))) as writer:
            cursor = await statement.cursor(*values)
            while rows := await cursor.fetch(CHUNK):
                await asyncio.to_thread(writer.write, rows)
        return told


def _filters(question: Question) -> tuple[str, Sequence[Any]]:
    """A condition over the columns of a metric, and the values of its parameters."""
    day = question.metric.day
    wanted = (("user_id =", question.person), (f"{day} >=", question.since), (f"{day} <=", question.until))
    given = [(condition, value) for condition, value in wanted if value is not None]
    conditions = [f"{condition} ${nr}" for nr, (condition, _) in enumerate(given, start=1)]
    return " and ".join(conditions) or "true", [value for _, value in given]


def _filled(query: str, metric: Metric, filters: str, *, limit: int = 0) -> str:
    """A query over a metric's view; every part is a name of ours."""
    return filled(query, view=metric.name, filters=filters, grain=", ".join(metric.grain), limit=str(limit))
