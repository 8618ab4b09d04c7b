"""Applies parked events again, each key's in order, through the handler that they failed in: see docs/adr/0019."""

import asyncio
from collections.abc import Mapping
from time import time_ns
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from events.applying import APPLY_TIMEOUT, GIVE_WAY, Applier, event_of
from events.beat import beat
from events.feed import Feed
from events.health import Check
from events.hearing import Event
from events.parking import TRIES, Failure, failure_of
from events.postgres import AWAY, Connection, Dial, is_not_now, transaction
from events.sql import load
from events.telemetry import PARKED_EVENTS, PARKED_STUCK, REDRIVEN
from events.tracing import trace_id_of

SQL = load("events")
EVERY: Final = 1.0
MEASURE: Final = 5.0
PUT_OFF: Final = 60.0
"""Seconds until what met a "not now" is tried again: it holds its feed up for as long as it takes."""
READ_TIMEOUT: Final = 5.0

log = structlog.get_logger(__name__)


class Redriver:
    """Tries what is due among a consumer's parked events while `run` runs: by itself or because an operator said so."""

    def __init__(self, consumer: str, feeds: Mapping[Feed, Applier], dial: Dial) -> None:
        self._consumer = consumer
        self._appliers = {feed.name: applier for feed, applier in feeds.items()}
        self._forgets = {feed.name: feed.max_age for feed in feeds if feed.trimmed}
        self._dial = dial
        self._tried: tuple[str, int] | None = None
        self._measured_at = -MEASURE
        self._state = Check(f"parked {consumer}", "ok")
        for feed in self._appliers:
            for outcome in ("applied", "failed"):
                REDRIVEN.labels(consumer, feed, outcome)  # a rate needs the zero before the first

    def check(self) -> Check:
        """ok: what is parked stops its keys alone, and `detail` says how much there is; late while out of reach."""
        return self._state

    async def run(self) -> None:
        """Look each second until cancelled."""
        try:
            while True:
                try:
                    await self._session()
                except AWAY as error:
                    detail = f"parked events are out of reach: {type(error).__name__}"
                    self._state = msgspec.structs.replace(self._state, state="late", detail=detail)
                    log.warning("parked events are out of reach", consumer=self._consumer, error=type(error).__name__)
                await asyncio.sleep(beat(EVERY))
        finally:
            self._show({})

    async def _session(self) -> None:
        connection = await self._dial()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                await connection.execute(GIVE_WAY)
                if self._tried:
                    await connection.execute(SQL.redrive_put_off, self._consumer, *self._tried, PUT_OFF)
            self._tried = None
            while True:
                await self._measure(connection)
                await asyncio.sleep(await self._look(connection))
        finally:
            connection.terminate()

    async def _look(self, connection: Connection) -> float:
        """Try what is due; seconds until the next look."""
        async with asyncio.timeout(READ_TIMEOUT):
            due = await connection.fetchrow(SQL.parked_due, self._consumer, list(self._appliers))
        if due is None or due["wait"] > 0:
            return beat(EVERY) if due is None else min(due["wait"], EVERY)
        self._tried = due["feed"], due["seq"]
        await self._try(self._appliers[due["feed"]], due["seq"], connection)
        self._tried = None
        return 0

    async def _try(self, applier: Applier, seq: int, connection: Connection) -> None:
        place = (self._consumer, applier.feed, seq)
        row, event, started = None, None, time_ns()
        try:
            async with asyncio.timeout(APPLY_TIMEOUT), transaction(connection):
                await connection.execute(SQL.checkpoint_hold, self._consumer, applier.feed)
                row = await connection.fetchrow(SQL.redrive_take, *place)
                if row is None:
                    return
                headers = msgspec.json.decode(row["headers"], type=dict[str, str])
                event = event_of(applier.feed, seq, headers, row["data"], row["published_at"])
                handled = await applier.handle([event], connection)
                await connection.execute(SQL.redrive_applied, *place)
                await connection.execute(SQL.redrive_end, row["act"], TRIES)
        except Exception as error:
            if is_not_now(error):
                raise
            failure = failure_of(error, attempts=(row["attempts"] if row else 0) + 1)
            await self._fail(place, failure, row["act"] if row else None, event, connection)
            applier.trace([event] if event else [], started, error=failure.reason)
            return
        REDRIVEN.labels(*place[:2], "applied").inc()
        applier.told(handled, started)

    async def _fail(
        self,
        place: tuple[str, str, int],
        failure: Failure,
        act: UUID | None,
        event: Event | None,
        connection: Connection,
    ) -> None:
        why = msgspec.structs.astuple(failure)
        async with asyncio.timeout(READ_TIMEOUT), transaction(connection):
            await connection.execute(SQL.redrive_failed, *place, *why, act)
            await connection.execute(SQL.redrive_end, act, TRIES)
        REDRIVEN.labels(*place[:2], "failed").inc()
        named = dict(zip(("consumer", "feed", "seq"), place, strict=True))
        named["trace_id"] = trace_id_of(event.traceparent) if event else ""
        log.warning("a parked event failed again", **named, reason=failure.reason, detail=failure.detail)

    async def _measure(self, connection: Connection) -> None:
        """Now and then: forget what a feed forgets by age, and say how much is parked."""
        now = asyncio.get_running_loop().time()
        if now < self._measured_at + MEASURE:
            return
        async with asyncio.timeout(READ_TIMEOUT):
            for feed, age in self._forgets.items():
                await connection.execute(SQL.parked_forget, self._consumer, feed, age)
            rows = await connection.fetch(SQL.parked_now, self._consumer)
        self._measured_at = now
        self._show({row["feed"]: row for row in rows})

    def _show(self, feeds: Mapping[str, asyncpg.Record]) -> None:
        for feed in self._appliers:
            PARKED_EVENTS.labels(self._consumer, feed).set(feeds[feed]["events"] if feed in feeds else 0)
            PARKED_STUCK.labels(self._consumer, feed).set(feeds[feed]["stuck"] if feed in feeds else 0)
        parked = "; ".join(
            f"{row['events']} events of {feed}, keys that wait for an operator: {row['stuck']}"
            for feed, row in sorted(feeds.items())
        )
        self._state = msgspec.structs.replace(self._state, state="ok", detail=parked)
