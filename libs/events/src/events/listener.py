"""One feed of one consumer: opens the stream at the checkpoint, proves the history, applies batch after batch."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from events.applying import BATCH, GIVE_WAY, Applier
from events.broker import Broker
from events.clock import Clock
from events.codec import Codec
from events.errors import FeedError, HistoryDiffers
from events.health import Check
from events.hearing import Hears
from events.holes import Holes
from events.lag import Lag
from events.postgres import BROKEN, Connection, Dial, is_misbuilt
from events.pull import Pull, PullBroken, StreamBehind, name_of, number_of
from events.sql import load
from events.telemetry import REOPENED, UNVERIFIED

SQL = load("events")
OPEN_TIMEOUT = 5.0
PAUSE = 0.2
STILL = 1.0
PACE = 0.005
"""From a batch's beginning to that of the next one, at least: what comes meanwhile is one batch (docs/adr/0029)."""
PACE_UNWANTED = 0.05
"""The same after a batch of which nothing was wanted, until something comes that is: only the checkpoint moved."""

log = structlog.get_logger(__name__)

_AWAY = (*BROKEN, nats.errors.Error, PullBroken)


class Listener:
    """Hears one feed for one consumer while `run` runs; how long events waited is noted where a `clock` is given."""

    def __init__(
        self, consumer: str, hears: Hears, dial: Dial, broker: Broker, codec: Codec, *, clock: Clock | None
    ) -> None:
        self.consumer = consumer
        self.feed = hears.feed
        self.applier = Applier(consumer, hears, codec, clock)
        self._dial = dial
        self._broker = broker
        self._gap_at = 0
        self._counted = 0
        self._holes = Holes(consumer, self.feed.name)
        self.lag = Lag(consumer, self.feed.name, broker, lambda: self.applier.seq)
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
            except FeedError as error:
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
                await connection.execute(GIVE_WAY)
            start = await self._open(client.jetstream(timeout=1), connection)
            name = name_of(self.consumer, epoch)
            pull = Pull(client, self.feed.name, name, start=start, batch=BATCH, awaited=self.applier.awaited)
            with self._broker.calling(pull.wake):
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
        self.applier.seq = row["seq"]
        self._holes.forget()
        try:
            info = await js.stream_info(self.feed.name)
        except nats.js.errors.NotFoundError:
            raise StreamBehind(f"stream {self.feed.name} does not exist (yet)") from None
        last = info.state.last_seq
        if last < self.applier.seq:
            raise StreamBehind(f"stream {self.feed.name} is at {last}, the checkpoint at {self.applier.seq}: waiting")
        await self._prove(js, row["event_id"])
        # The front of a stream moves over what is deleted there: what counts is where it was made to begin.
        return self._begin(info.state.first_seq if self.feed.trimmed else info.config.first_seq or 1)

    async def _prove(self, js: JetStreamContext, event_id: UUID | None) -> None:
        if event_id is None:
            return
        try:
            message = await js.get_msg(self.feed.name, self.applier.seq)
        except nats.js.errors.NotFoundError:
            await self._holes.accept(js, self.applier.seq, self.applier.seq)
            return
        found = (message.headers or {}).get("ce-id")
        if found != str(event_id):
            raise HistoryDiffers(
                f"message {self.applier.seq} of stream {self.feed.name} is {found}, {self.consumer} heard {event_id} "
                "there: the feed was repaired to another history; rewind the consumer"
            )

    def _begin(self, first_seq: int) -> int:
        missing = first_seq - (self.applier.seq + 1)
        if missing <= 0:
            return self.applier.seq + 1
        if not self.feed.trimmed:
            raise HistoryDiffers(
                f"stream {self.feed.name} begins at {first_seq}, {self.consumer} needs {self.applier.seq + 1}: "
                "events are gone that this consumer never heard"
            )
        UNVERIFIED.labels(self.consumer, self.feed.name).inc(first_seq - 1 - max(self.applier.seq, self._counted))
        self._counted = first_seq - 1  # at each opening until something is heard, the same ones are missing
        return first_seq

    async def _hear(self, pull: Pull, connection: Connection, *, expected: int) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            messages = await pull.fetch()
            began = clock()
            if not messages:
                expected = await self._look_behind(pull, connection)
            soon = len(messages) in {0, BATCH}  # nothing was there to gather, or more is
            for first, run in _unbroken(messages, expected):
                if first != expected:
                    await self._examine_gap(expected, first)
                soon |= await self.applier.apply(run, connection)
                expected = self.applier.seq + 1
            self._report("ok", f"at {self.applier.seq}")
            if soon:
                await asyncio.sleep(began + PACE - clock())
            else:
                await pull.rest(began + PACE_UNWANTED - clock())

    async def _examine_gap(self, expected: int, found: int) -> None:
        """Arithmetic sees every hole: lawful are numbers listed as deleted; any other: reopen, and stop if it stays."""
        try:
            await self._holes.accept(await self._broker.jetstream(), expected, found - 1)
        except HistoryDiffers:
            if self._gap_at == expected:
                raise
            self._gap_at = expected
            raise PullBroken(f"a gap: expected {expected}, got {found}") from None

    async def _look_behind(self, pull: Pull, connection: Connection) -> int:
        """Nothing came for a while: mostly the stream ends here, else it must be told why; what is next."""
        js = await self._broker.jetstream()
        if (await js.stream_info(self.feed.name)).state.last_seq == self.applier.seq:
            self.lag.nothing()
            return self.applier.seq + 1
        await self._pass_deleted_end(js, connection)
        if await pull.has_lost(after=self.applier.seq):
            raise PullBroken("a message was sent and never came")
        return self.applier.seq + 1

    async def _pass_deleted_end(self, js: JetStreamContext, connection: Connection) -> None:
        """Move over deleted messages at the stream's end, so that a position there can be waited for."""
        first = self.applier.seq + 1
        end = 0 if self.feed.trimmed else await self._holes.end(js, self.applier.seq)
        if end >= first:
            await self.applier.pass_to(end, connection)
            await self._holes.accept(js, first, end)


def _unbroken(messages: Sequence[Msg], since: int) -> list[tuple[int, list[Msg]]]:
    """The messages from a number on in runs without a hole, each with its first number."""
    runs: list[tuple[int, list[Msg]]] = []
    following = 0
    for message in messages:
        number = number_of(message)
        if number < since:
            continue
        if number != following:
            runs.append((number, []))
        runs[-1][1].append(message)
        following = number + 1
    return runs
