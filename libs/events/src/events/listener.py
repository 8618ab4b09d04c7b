"""One feed of one consumer: opens the stream at the checkpoint, proves the history, applies batch after batch."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from events.broker import Broker
from events.clock import Clock
from events.codec import Codec
from events.envelope import from_headers
from events.errors import FeedError, HistoryDiffers, LostFence, PoisonMessage, Undecodable
from events.health import Check
from events.hearing import Event, Hears
from events.holes import Holes
from events.lag import Lag
from events.postgres import BROKEN, Connection, Dial, is_misbuilt, is_rejection, transaction
from events.pull import Pull, PullBroken, StreamBehind
from events.sql import load
from events.telemetry import HEARD, REOPENED, UNVERIFIED

SQL = load("events")
BATCH = 500
APPLY_TIMEOUT = 30.0
OPEN_TIMEOUT = 5.0
# A stopped instance keeps its checkpoint's row locked no longer than its lease lives.
_GIVE_WAY = "set idle_in_transaction_session_timeout = '3s'"
TRIES = 3
PAUSE = 0.2
STILL = 1.0
_MS = timedelta(milliseconds=1)

log = structlog.get_logger(__name__)

_AWAY = (*BROKEN, nats.errors.Error, PullBroken)


class Listener:
    """Hears one feed for one consumer while `run` runs; how long events waited is noted where a `clock` is given."""

    def __init__(
        self, consumer: str, hears: Hears, dial: Dial, broker: Broker, codec: Codec, *, clock: Clock | None
    ) -> None:
        self.consumer = consumer
        self.feed = hears.feed
        self._handle = hears.handle
        self._on_heard = hears.on_heard
        self._names = {codec.name_of_type(kind) for kind in hears.types}
        self._dial = dial
        self._broker = broker
        self._codec = codec
        self._clock = clock
        self._slice = BATCH
        self._seq = 0
        self._gap_at = 0
        self._counted = 0
        self._holes = Holes(consumer, self.feed.name)
        self.lag = Lag(consumer, self.feed.name, broker, lambda: self._seq)
        self._state = Check(f"consumer {consumer} {self.feed.name}", "ok", "standby")

    def check(self) -> Check:
        """ok, late (waits for something that will come) or failed (stands still before something named)."""
        return self._state

    def stand_by(self, trouble: BaseException | None) -> None:
        """Another instance is the active one, or the lease cannot be read: whoever stands by measures no lag."""
        self.lag.forget()
        if trouble is None:
            self._report("ok", "standby")
        else:
            self._trouble(trouble)

    async def run(self, epoch: int) -> None:
        """Hear until cancelled; raises `LostFence` when another instance moved the checkpoint."""
        self._report("late", "opening the stream")
        while True:
            try:
                await self._session(epoch)
            except (FeedError, PoisonMessage) as error:
                self._report("failed", str(error))
                await asyncio.sleep(STILL)
            except (asyncpg.PostgresError, *_AWAY) as error:
                self._trouble(error)
                REOPENED.labels(self.consumer, self.feed.name, type(error).__name__).inc()
                await asyncio.sleep(STILL if isinstance(error, StreamBehind) else PAUSE)

    def _trouble(self, error: BaseException) -> None:
        if self._broker.trouble:  # a missing right looks like a time-out here
            self._report("failed", self._broker.trouble)
        elif isinstance(error, asyncpg.PostgresError):  # its message can quote a row
            self._report("failed" if is_misbuilt(error) else "late", f"the database says {type(error).__name__}")
        else:
            self._report("late", f"{type(error).__name__}: {error}")

    def _report(self, state: str, detail: str) -> None:
        if state != self._state.state or (state != "ok" and detail != self._state.detail):
            write = log.error if state == "failed" else log.info
            write("consumer", consumer=self.consumer, feed=self.feed.name, state=state, detail=detail)
        self._state = msgspec.structs.replace(self._state, state=state, detail=detail)

    async def _session(self, epoch: int) -> None:
        client = await self._broker.connected()
        connection = await self._dial()
        pull = None
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await connection.execute(_GIVE_WAY)
            start = await self._open(client.jetstream(timeout=1), connection)
            name = f"{self.consumer}-{epoch}"
            pull = Pull(client, self.feed.name, name, start=start, batch=BATCH)
            await pull.open()
            await self._hear(pull, connection, expected=start)
        finally:
            connection.terminate()
            if pull is not None:
                await pull.close()

    async def _open(self, js: JetStreamContext, connection: Connection) -> int:
        """Read the checkpoint, prove that the stream still holds that history; returns the number to begin at."""
        async with asyncio.timeout(OPEN_TIMEOUT):
            [row] = await connection.fetch(SQL.checkpoint_open, self.consumer, self.feed.name)
        self._seq = row["seq"]
        self._holes.forget()
        try:
            info = await js.stream_info(self.feed.name)
        except nats.js.errors.NotFoundError:
            raise StreamBehind(f"stream {self.feed.name} does not exist (yet)") from None
        last = info.state.last_seq
        if last < self._seq:
            raise StreamBehind(f"stream {self.feed.name} is at {last}, the checkpoint at {self._seq}: waiting")
        await self._prove(js, row["event_id"])
        # The front of a stream moves over what is deleted there: what counts is where it was made to begin.
        return self._begin(info.state.first_seq if self.feed.trimmed else info.config.first_seq or 1)

    async def _prove(self, js: JetStreamContext, event_id: UUID | None) -> None:
        if event_id is None:
            return
        try:
            message = await js.get_msg(self.feed.name, self._seq)
        except nats.js.errors.NotFoundError:
            await self._holes.accept(js, self._seq, self._seq)
            return
        found = (message.headers or {}).get("ce-id")
        if found != str(event_id):
            raise HistoryDiffers(
                f"message {self._seq} of stream {self.feed.name} is {found}, {self.consumer} heard {event_id} there: "
                "the feed was repaired to another history; rewind the consumer"
            )

    def _begin(self, first_seq: int) -> int:
        missing = first_seq - (self._seq + 1)
        if missing <= 0:
            return self._seq + 1
        if not self.feed.trimmed:
            raise HistoryDiffers(
                f"stream {self.feed.name} begins at {first_seq}, {self.consumer} needs {self._seq + 1}: "
                "events are gone that this consumer never heard"
            )
        UNVERIFIED.labels(self.consumer, self.feed.name).inc(first_seq - 1 - max(self._seq, self._counted))
        self._counted = first_seq - 1  # at each opening until something is heard, the same ones are missing
        return first_seq

    async def _hear(self, pull: Pull, connection: Connection, *, expected: int) -> None:
        while True:
            messages = await pull.fetch()
            if not messages:
                expected = await self._pass_deleted_end(connection)
                if await pull.has_lost(after=self._seq):
                    raise PullBroken("a message was sent and never came")
            for run in _unbroken([m for m in messages if _number(m) >= expected]):
                if _number(run[0]) != expected:
                    await self._examine_gap(expected, _number(run[0]))
                await self._apply_run(run, connection)
                expected = self._seq + 1
            self._report("ok", f"at {self._seq}")

    async def _examine_gap(self, expected: int, found: int) -> None:
        """Arithmetic sees every hole: lawful are numbers listed as deleted; any other: reopen, and stop if it stays."""
        try:
            await self._holes.accept(await self._broker.jetstream(), expected, found - 1)
        except HistoryDiffers:
            if self._gap_at == expected:
                raise
            self._gap_at = expected
            raise PullBroken(f"a gap: expected {expected}, got {found}") from None

    async def _pass_deleted_end(self, connection: Connection) -> int:
        """Move over deleted messages at the stream's end, so that a position there can be waited for; what is next."""
        js = await self._broker.jetstream()
        end = self._seq if self.feed.trimmed else await self._holes.end(js, self._seq)
        if end > self._seq:
            async with asyncio.timeout(APPLY_TIMEOUT), transaction(connection):
                await self._move(connection, end, None)
            await self._holes.accept(js, self._seq + 1, end)
            self._seq = end
        return self._seq + 1

    async def _move(self, connection: Connection, seq: int, event_id: UUID | None, heard: Sequence[Event] = ()) -> None:
        """The fence. Nothing is known of the id of a deleted message: then there is none to compare."""
        now = self._clock() if self._clock else None
        waited = [max(0, (now - event.envelope.time) // _MS) for event in heard] if now else []
        place = (self.consumer, self.feed.name, seq, event_id, self._seq)
        moved = await connection.fetchval(SQL.checkpoint_move, *place, waited, now)
        if moved is None:
            raise LostFence(f"{self.consumer} is no longer at {self._seq} of {self.feed.name}")

    async def _apply_run(self, messages: Sequence[Msg], connection: Connection) -> None:
        """Apply in as few transactions as fit the time limits: half as much after one that broke, then more again."""
        while messages:
            part, messages = messages[: self._slice], messages[self._slice :]
            try:
                await self._apply(part, connection)
            except (asyncpg.PostgresError, *BROKEN):
                self._slice = max(1, len(part) // 2)  # a transaction's time limit looks like a lost connection here
                raise
            self._slice = min(BATCH, self._slice * 2)

    async def _apply(self, messages: Sequence[Msg], connection: Connection) -> None:
        """Apply as one transaction; when that fails, one by one, to find the culprit."""
        try:
            await self._commit([self._event(message) for message in messages], connection)
        except (LostFence, *_AWAY):
            raise
        except Exception as error:
            if isinstance(error, asyncpg.PostgresError) and not is_rejection(error):
                raise
            log.warning("a batch failed; trying its messages one by one", feed=self.feed.name, error=_name(error))
            for message in messages:
                await self._apply_one(message, connection)

    async def _apply_one(self, message: Msg, connection: Connection) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                await self._commit([self._event(message)], connection)
            except (LostFence, *_AWAY):
                raise
            except Exception as error:
                if isinstance(error, asyncpg.PostgresError) and not is_rejection(error):
                    raise
                if attempt == TRIES or isinstance(error, Undecodable):
                    raise PoisonMessage(
                        f"{self.consumer} stands still before message {_number(message)} of "
                        f"{self.feed.name} ({(message.headers or {}).get('ce-type')}): {_name(error)}"
                    ) from error
                await asyncio.sleep(PAUSE)
            else:
                return

    def _event(self, message: Msg) -> Event:
        envelope = from_headers(message.headers)
        if envelope.seq != _number(message):
            raise Undecodable(f"ce-seq {envelope.seq} is not the message's number")
        wanted = envelope.type in self._names
        data = self._codec.decode(envelope.type, message.data) if wanted else None
        return Event(self.feed.name, envelope, data, message.data, message.metadata.timestamp)

    async def _commit(self, events: Sequence[Event], connection: Connection) -> None:
        """Fence, effects, commit."""
        last = events[-1].envelope
        wanted = [event for event in events if event.data is not None or not self._names]
        async with asyncio.timeout(APPLY_TIMEOUT), transaction(connection):
            await self._move(connection, last.seq, last.id, events)
            if wanted:
                await self._handle(connection, wanted)
        self._seq = last.seq
        HEARD.labels(self.consumer, self.feed.name).inc(len(events))
        if wanted and self._on_heard is not None:
            self._on_heard()


def _number(message: Msg) -> int:
    """The message's number in its stream, as the server gave it."""
    number: int = message.metadata.sequence.stream
    return number


def _unbroken(messages: Sequence[Msg]) -> list[list[Msg]]:
    """The messages in runs without a hole."""
    runs: list[list[Msg]] = []
    for message in messages:
        if runs and _number(message) == _number(runs[-1][-1]) + 1:
            runs[-1].append(message)
        else:
            runs.append([message])
    return runs


def _name(error: Exception) -> str:
    # A database's message can quote the row: only its kind is told.
    return str(error) if isinstance(error, Undecodable) else type(error).__name__
