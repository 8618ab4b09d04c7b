"""Applies what was heard: many events in one transaction with the checkpoint; what cannot be applied is parked."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import time_ns
from uuid import UUID

import asyncpg
import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from events.clock import Clock
from events.codec import Codec
from events.envelope import from_headers, subject_of
from events.errors import FeedError, HistoryDiffers, LostFence, Undecodable
from events.hearing import Event, Hears
from events.parking import BEHIND, FAILED, failure_of, park, parked_keys
from events.postgres import BROKEN, Connection, is_not_now, transaction
from events.pull import place_of
from events.sql import load
from events.telemetry import HEARD, PARKED
from events.tracing import about_event, about_message, after, is_recorded, record, trace_id_of

SQL = load("events")
BATCH = 500
APPLY_TIMEOUT = 30.0
# A stopped instance keeps its checkpoint's row locked no longer than its lease lives.
GIVE_WAY = "set idle_in_transaction_session_timeout = '3s'"
_STRAY = "it is not from the relay; an operator must decide"
_MS = timedelta(milliseconds=1)

log = structlog.get_logger(__name__)


class Applier:
    """Applies one feed's events for one consumer. `seq` is the checkpoint as this instance last wrote or read it.

    `awaited` are the types that it wants, as subjects name them.

    How long events waited is noted where a `clock` is given.
    """

    def __init__(self, consumer: str, hears: Hears, codec: Codec, clock: Clock | None) -> None:
        self.consumer = consumer
        self.feed = hears.feed.name
        self.seq = 0
        self._hears = hears
        self._names = {name for kind in hears.types for name in codec.heard_as(kind)}
        self.awaited = frozenset(name.split(".")[1] for name in self._names)
        self._never_held = {name for kind in hears.never_held for name in codec.heard_as(kind)}
        self._codec = codec
        self._clock = clock
        self._slice = BATCH
        HEARD.labels(consumer, self.feed)
        for reason in FAILED:
            PARKED.labels(consumer, self.feed, reason)  # a rate needs the zero before the first

    async def apply(self, messages: Sequence[Msg], connection: Connection) -> bool:
        """Apply what follows the checkpoint, in as few transactions as fit the time limits; whether any was wanted.

        Raises `LostFence`, `FeedError` and what a lost connection raises.
        """
        events = [_sent(self.feed, message) for message in messages]
        wanted = any(self._wants(event) for event in events)
        while events:
            part, events = events[: self._slice], events[self._slice :]
            try:
                await self._apply(part, connection)
            except (asyncpg.PostgresError, *BROKEN):
                # Half as much next time, then more again: a transaction's time limit looks like a lost connection here.
                self._slice = max(1, len(part) // 2)
                raise
            self._slice = min(BATCH, self._slice * 2)
        return wanted

    async def pass_to(
        self, seq: int, connection: Connection, event_id: UUID | None = None, heard: Sequence[Event] = ()
    ) -> None:
        """Move on by one statement, which is a transaction of its own.

        Of a deleted message nothing is known: then there is no id to compare.
        """
        async with asyncio.timeout(APPLY_TIMEOUT):
            await self._move(connection, seq, event_id, heard)
        self.seq = seq

    async def handle(self, events: Sequence[Event], connection: Connection) -> Sequence[Event]:
        """Decode, and let the handler apply inside the caller's transaction; those that it wants."""
        decoded = [self._decoded(event) for event in events]
        wanted = [event for event in decoded if event.data is not None or not self._names]
        if wanted:
            await self._hears.handle(connection, wanted)
        return wanted

    def told(self, events: Sequence[Event], started: int) -> None:
        """What the handler was given since `started` is committed: wake whoever acts on it."""
        self.trace(events, started)
        if events and self._hears.on_heard is not None:
            self._hears.on_heard()

    def trace(self, events: Sequence[Event], started: int, *, error: str = "") -> None:
        """Each event's hearing is a hop of its own trace, as long as that of those heard with it."""
        for event in events:
            if is_recorded(event.traceparent):
                facts = about_event(event.envelope.id, event.envelope.type, event.envelope.seq)
                about = about_message("process", "process", self.feed, len(events)) | facts
                record(
                    f"process {self.feed}",
                    "consumer",
                    event.traceparent,
                    within=event.envelope.traceparent,
                    started=started,
                    error=error,
                    attributes=about | {"messaging.consumer.group.name": self.consumer},
                )

    async def _apply(self, events: Sequence[Event], connection: Connection) -> None:
        """All as one transaction; where that fails, half of them each, down to what cannot be applied."""
        try:
            await self._commit(events, connection)
        except (LostFence, FeedError, nats.errors.Error):
            raise
        except Exception as error:
            if is_not_now(error):
                raise
            if len(events) == 1:
                await self._park(events[0], error, connection)
                return
            middle = len(events) // 2
            await self._apply(events[:middle], connection)
            await self._apply(events[middle:], connection)

    async def _commit(self, events: Sequence[Event], connection: Connection) -> None:
        """Fence, effects, commit; where none of it is for the handler, the fence alone."""
        last, started = events[-1].envelope, time_ns()
        if not any(self._wants(event) for event in events):
            await self.pass_to(last.seq, connection, last.id, events)
            HEARD.labels(self.consumer, self.feed).inc(len(events))
            return
        async with asyncio.timeout(APPLY_TIMEOUT), transaction(connection):
            may_wait = await self._move(connection, last.seq, last.id, events)
            behind = await self._park_behind(connection, events) if may_wait else frozenset()
            handled = await self.handle([event for event in events if event.envelope.seq not in behind], connection)
        self.seq = last.seq
        HEARD.labels(self.consumer, self.feed).inc(len(events) - len(behind))
        self.told(handled, started)

    async def _park_behind(self, connection: Connection, events: Sequence[Event]) -> frozenset[int]:
        """Park those whose keys have something parked, behind it; their numbers."""
        keys = {event.envelope.subject for event in events}
        parked = await parked_keys(connection, self.consumer, self.feed, list(keys))
        behind = [event for event in events if event.envelope.subject in parked and self._may_wait(event)]
        if behind:
            await park(connection, self.consumer, behind, BEHIND)
        return frozenset(event.envelope.seq for event in behind)

    def _wants(self, event: Event) -> bool:
        return event.envelope.type in self._names or not self._names

    def _may_wait(self, event: Event) -> bool:
        """Whether the handler wants it at all, and not at once."""
        return self._wants(event) and event.envelope.type not in self._never_held

    async def _park(self, event: Event, error: Exception, connection: Connection) -> None:
        envelope, failure, started = event.envelope, failure_of(error), time_ns()
        async with asyncio.timeout(APPLY_TIMEOUT), transaction(connection):
            await self._move(connection, envelope.seq, envelope.id, [event])
            await park(connection, self.consumer, [event], failure)
        self.seq = envelope.seq
        PARKED.labels(self.consumer, self.feed, failure.reason).inc()
        self.trace([event], started, error=failure.reason)
        log.error(
            "an event is parked",
            consumer=self.consumer,
            feed=self.feed,
            seq=envelope.seq,
            event_id=str(envelope.id),
            trace_id=trace_id_of(envelope.traceparent),
            reason=failure.reason,
            detail=failure.detail,
            stack=failure.stack,
        )

    async def _move(self, connection: Connection, seq: int, event_id: UUID | None, heard: Sequence[Event] = ()) -> bool:
        """The fence; whether anything of this feed may be parked. Raises `LostFence`."""
        now = self._clock() if self._clock else None
        waited = [max(0, (now - event.envelope.time) // _MS) for event in heard] if now else []
        place = (self.consumer, self.feed, seq, event_id, self.seq)
        may_wait: bool | None = await connection.fetchval(SQL.checkpoint_move, *place, waited, now)
        if may_wait is None:
            raise LostFence(f"{self.consumer} is no longer at {self.seq} of {self.feed}")
        return may_wait

    def _decoded(self, event: Event) -> Event:
        if event.envelope.type not in self._names:
            return event
        return msgspec.structs.replace(event, data=self._codec.decode(event.envelope.type, event.raw))


def event_of(
    feed: str, seq: int, headers: Mapping[str, str] | None, raw: bytes, published_at: datetime | None
) -> Event:
    """A message as an event, not decoded yet; raises `HistoryDiffers` for one that no relay has published."""
    try:
        envelope = from_headers(headers)
    except Undecodable as error:
        raise HistoryDiffers(f"message {seq} of stream {feed} is no event ({error}): {_STRAY}") from error
    if envelope.seq != seq:
        raise HistoryDiffers(f"message {seq} of stream {feed} says that it is {envelope.seq}: {_STRAY}")
    return Event(feed, envelope, None, raw, published_at, after(envelope.traceparent, envelope.time))


def _sent(feed: str, message: Msg) -> Event:
    seq, published_at = place_of(message)
    event = event_of(feed, seq, message.headers, message.data, published_at)
    if message.subject != subject_of(event.envelope):  # another feed's event, which somebody had sent here
        raise HistoryDiffers(f"message {event.envelope.seq} of stream {feed} came by {message.subject}: {_STRAY}")
    return event
