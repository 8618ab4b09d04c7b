"""Applies parked events again, each key's in order, through the handler that they failed in: see docs/adr/0019."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from events.applying import APPLY_TIMEOUT, GIVE_WAY, Applier
from events.health import Check
from events.parking import failure_of
from events.postgres import AWAY, BROKEN, Connection, Dial, is_rejection, transaction
from events.sql import load
from events.telemetry import PARKED_EVENTS, PARKED_STUCK, REDRIVEN

SQL = load("events")
EVERY: Final = 1.0
READ_TIMEOUT: Final = 5.0

log = structlog.get_logger(__name__)


class Redriver:
    """Tries what is due among a consumer's parked events while `run` runs: by itself or because an operator said so."""

    def __init__(self, consumer: str, appliers: Sequence[Applier], dial: Dial) -> None:
        self._consumer = consumer
        self._appliers = {applier.feed: applier for applier in appliers}
        self._dial = dial
        self._state = Check(f"parked {consumer}", "ok")

    def check(self) -> Check:
        """ok: what is parked stops nothing but its keys; `detail` says how much there is."""
        return self._state

    async def run(self) -> None:
        """Look each second until cancelled."""
        try:
            while True:
                try:
                    await self._session()
                except AWAY as error:
                    log.warning("parked events are out of reach", consumer=self._consumer, error=type(error).__name__)
                await asyncio.sleep(EVERY)
        finally:
            self._show({})

    async def _session(self) -> None:
        connection = await self._dial()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                await connection.execute(GIVE_WAY)
            while True:
                due = await self._due(connection)
                if due is None:
                    await self._measure(connection)
                else:
                    await self._try(self._appliers[due["feed"]], due["seq"], connection)
                await asyncio.sleep(_pause(due))
        finally:
            connection.terminate()

    async def _due(self, connection: Connection) -> asyncpg.Record | None:
        async with asyncio.timeout(READ_TIMEOUT):
            return await connection.fetchrow(SQL.parked_due, self._consumer, list(self._appliers))

    async def _try(self, applier: Applier, seq: int, connection: Connection) -> None:
        place = (self._consumer, applier.feed, seq)
        attempts, act, handled = 0, None, False
        try:
            async with asyncio.timeout(APPLY_TIMEOUT), transaction(connection):
                await connection.execute(SQL.checkpoint_hold, self._consumer, applier.feed)
                row = await connection.fetchrow(SQL.redrive_take, *place)
                if row is None:
                    return
                attempts, act = row["attempts"], row["act"]
                headers = msgspec.json.decode(row["headers"], type=dict[str, str])
                event = applier.event(seq, headers, row["data"], row["published_at"])
                handled = await applier.handle([event], connection)
                await connection.execute(SQL.redrive_applied, *place)
        except BROKEN:
            raise
        except Exception as error:
            if isinstance(error, asyncpg.PostgresError) and not is_rejection(error):
                raise
            await self._fail(place, error, attempts + 1, connection)
        else:
            REDRIVEN.labels(*place[:2], "applied").inc()
            if handled:
                applier.told()
        await self._end(act, connection)

    async def _fail(self, place: tuple[str, str, int], error: Exception, attempts: int, connection: Connection) -> None:
        failure = failure_of(error, attempts=attempts)
        why = (failure.reason, failure.detail, failure.stack, failure.attempts, failure.retry)
        async with asyncio.timeout(READ_TIMEOUT):
            await connection.execute(SQL.redrive_failed, *place, *why)
        REDRIVEN.labels(*place[:2], "failed").inc()
        log.warning(
            "a parked event failed again", consumer=place[0], feed=place[1], seq=place[2], detail=failure.detail
        )

    async def _end(self, act: UUID | None, connection: Connection) -> None:
        if act is not None:
            async with asyncio.timeout(READ_TIMEOUT):
                await connection.execute(SQL.redrive_end, act)

    async def _measure(self, connection: Connection) -> None:
        async with asyncio.timeout(READ_TIMEOUT):
            rows = await connection.fetch(SQL.parked_now, self._consumer)
        self._show({row["feed"]: row for row in rows})

    def _show(self, feeds: Mapping[str, asyncpg.Record]) -> None:
        for feed in self._appliers:
            PARKED_EVENTS.labels(self._consumer, feed).set(feeds[feed]["events"] if feed in feeds else 0)
            PARKED_STUCK.labels(self._consumer, feed).set(feeds[feed]["stuck"] if feed in feeds else 0)
        parked = "; ".join(
            f"{row['events']} events of {row['keys']} keys of {feed}, {row['stuck']} wait for an operator"
            for feed, row in sorted(feeds.items())
        )
        self._state = msgspec.structs.replace(self._state, detail=parked)


def _pause(due: asyncpg.Record | None) -> float:
    """Seconds until the next look, at the pace that an operator asked for."""
    if due is None:
        return EVERY
    return 1 / due["per_second"] if due["per_second"] else 0
