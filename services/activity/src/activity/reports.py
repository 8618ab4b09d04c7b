"""Acting: closes people's weeks and months, and says what they did in them, once each."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import nats.errors
import structlog
from msgspec.structs import replace
from nats.aio.client import Client

from activity.periods import (
    Open,
    Span,
    Tally,
    closes_at,
    following,
    latest_due,
    report,
    report_id,
    span_before,
    span_of,
)
from activity.tables import Due, Moved, due_periods, is_due, move_periods, tally
from events.beat import beat
from events.broker import Broker
from events.catalog.activity import TYPES, ReportReady
from events.clock import Clock
from events.codec import Codec
from events.command import Change, Command, Context, new_command
from events.consumer import heard_up_to
from events.erasure import hold_off
from events.health import Check
from events.ids import uuid7
from events.log import append_all_last
from events.postgres import AWAY, Connection, is_too_slow

FEED: Final = "ACTIVITY"
EVERY: Final = 1.0
BATCH: Final = 200
PATIENCE: Final = 60.0
# After an outage the others publish first what waited for NATS, within this time.
SETTLES: Final = 15.0
_COUNTED: Final = ("AUTH", "TODOS")
_CODEC: Final = Codec(TYPES)

log = structlog.get_logger(__name__)


class Reports:
    """Closes what is due each second while `run` runs. Several instances are welcome: each period is closed once.

    `heard_as` is the consumer whose tables are counted: nothing is closed before it heard what was published by then,
    over a connection that has lasted 15 s.
    """

    def __init__(
        self, pool: asyncpg.Pool, broker: Broker, clock: Clock, *, heard_as: str, on_appended: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._broker = broker
        self._clock = clock
        self._heard_as = heard_as
        self._on_appended = on_appended
        self._late = ""
        self._limit = BATCH
        self._client: Client | None = None
        self._connected_at = 0.0

    def check(self) -> Check:
        """ok, or late while what is due cannot be closed."""
        return Check("reports", "late", self._late) if self._late else Check("reports", "ok")

    async def run(self) -> None:
        """Close until cancelled."""
        while True:
            try:
                await self._notice_connection()
                await self.close_due()
                self._late = ""
            except (nats.errors.Error, *AWAY) as error:
                # A batch that outlasts a time limit must not be tried again at the same size for ever.
                self._limit = max(1, self._limit // 2) if is_too_slow(error) else self._limit
                self._late = f"reports wait: {type(error).__name__}"
                log.warning("reports are late; they will be tried again", error=type(error).__name__)
            await asyncio.sleep(beat(EVERY))

    async def close_due(self) -> None:
        """Close every period that is due by now, once everything that was said until now is heard."""
        now = self._clock()
        if await is_due(self._pool, now):
            async with asyncio.timeout(PATIENCE):
                await self._hear_everything()
            while await self.close(now, limit := self._limit) >= limit:
                self._limit = min(BATCH, 2 * limit)

    async def _notice_connection(self) -> None:
        client = await self._broker.connected() if self._broker.is_connected else None
        if client is not self._client:
            self._client, self._connected_at = client, monotonic()

    async def _hear_everything(self) -> None:
        js = await self._broker.jetstream()
        await self._notice_connection()
        await asyncio.sleep(self._connected_at + SETTLES - monotonic())
        for feed in _COUNTED:
            last = (await js.stream_info(feed)).state.last_seq
            while await heard_up_to(self._pool, self._heard_as, feed) < last:  # noqa: ASYNC110 - maybe another process
                await asyncio.sleep(0.1)

    async def close(self, now: datetime, limit: int) -> int:
        """Close up to `limit` periods that are due; how many. Reports and what is open next are written together."""
        async with self._pool.acquire() as connection, connection.transaction():
            await hold_off(connection)
            due = [_latest(each, now) for each in await due_periods(connection, now, limit, heard_as=self._heard_as)]
            said = await _reports(connection, due)
            await move_periods(connection, [_moved(each) for each in due])
            told = await append_all_last(connection, FEED, [_command(each, data, now) for each, data in said])
        if due:
            log.info("periods are closed", count=len(due), reports=sum(told))
            self._on_appended()
        return len(due)


def _latest(due: Due, now: datetime) -> Due:
    return replace(due, open=latest_due(due.open, due.person.zone, now))


async def _reports(connection: Connection, due: Sequence[Due]) -> list[tuple[Due, ReportReady]]:
    """What is to be said; nothing of who did nothing."""
    tallies = await _tally(connection, due, span_of)
    active = [(each, told) for each, told in zip(due, tallies, strict=True) if told.doings]
    befores = await _tally(connection, [each for each, _ in active], span_before)
    return [(each, _report(each, told, before)) for (each, told), before in zip(active, befores, strict=True)]


async def _tally(connection: Connection, due: Sequence[Due], span: Callable[[Open, ZoneInfo], Span]) -> list[Tally]:
    return await tally(connection, [(each.person, span(each.open, each.person.zone)) for each in due])


def _report(due: Due, told: Tally, before: Tally) -> ReportReady:
    was_here = due.person.registered_at < due.open.since
    return report(due.person.user_id, due.open, due.person.zone, told, before if was_here else None)


def _moved(closed: Due) -> Moved:
    after = following(closed.open, closed.person.zone)
    return Moved(closed.person.user_id, after, closes_at(after, closed.person.zone))


def _command(due: Due, data: ReportReady, now: datetime) -> Command:
    person_id = due.person.user_id
    context = Context(time=now, correlation_id=str(uuid7()), actor="clock")
    change = Change(aggregate=report_id(person_id, due.open), expected=0, subject=person_id, events=[data])
    return new_command(_CODEC, context, change)
