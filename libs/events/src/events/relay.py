"""The relay: publishes event N of a log as message N of its stream, and nothing else, ever.

It keeps no cursor: the stream is the cursor. Every publish expects its predecessor's number, so a late or second relay
can neither repeat nor reorder anything. Before it publishes at all, on every connect and after every refusal, it
compares ids at the stream's end with the log's events of those numbers: at first two windows, for a stray message that
took a number inside a window in flight lets the rest pass, and two are in flight at most; later all that it has not
proven yet.
A message may be gone exactly where its event is erased. See docs/adr/0001 and 0011.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import uniform
from time import time_ns

import asyncpg
import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext

from events.beat import beat
from events.broker import Broker
from events.errors import FeedError, HistoryDiffers
from events.feed import Feed
from events.health import Check
from events.postgres import AWAY, Connection, Dial
from events.publisher import WRONG_LAST_SEQUENCE, Publisher, RefusedError, Window
from events.sql import load
from events.streams import checked, ids_at_the_end
from events.telemetry import RELAY_BACKLOG, RELAY_REFUSALS, RELAY_SKIPPED, RELAYED
from events.tracing import about_event, about_message, after, is_recorded, record

SQL = load("events")
WINDOW = 500
PACE = 0.01
"""From a window's beginning to that of the next, at least: what comes meanwhile goes along (docs/adr/0034)."""
POLL_BUSY = 0.1
POLL_IDLE = 1.0
READ_TIMEOUT = 5.0

log = structlog.get_logger(__name__)


class _Sent(msgspec.Struct):
    """A window of the log on its way into the stream, `started` so many nanoseconds after 1970."""

    rows: Sequence[asyncpg.Record]
    started: int
    window: Window


class Relay:
    """Publishes one feed while `run` runs. `wake` tells it of new events; a poll is the safety net."""

    def __init__(self, feed: Feed, dial: Dial, broker: Broker, *, window: int = WINDOW) -> None:
        self.feed = feed
        self._dial = dial
        self._broker = broker
        self._window = window
        self._news = asyncio.Event()
        self._last: int | None = None
        self._takes_batches = False
        self._state = Check(f"relay {feed.name}", "late", "not connected yet")
        for counter in (RELAYED, RELAY_REFUSALS, RELAY_SKIPPED):
            counter.labels(feed.name)  # a rate needs the zero before the first

    def wake(self) -> None:
        """There may be something new in the log."""
        self._news.set()

    def check(self) -> Check:
        """ok, late (out of reach, will catch up) or failed (refuses to publish until an operator decides)."""
        return self._state

    async def run(self) -> None:
        """Publish until cancelled. Whatever breaks, it starts over by asking the stream where it stands."""
        while True:
            try:
                await self._session()
            except FeedError as error:
                self._report("failed", str(error))
                await asyncio.sleep(POLL_IDLE)
            except (nats.errors.Error, *AWAY) as error:
                self._report("late", f"{type(error).__name__}: {error}")
                await asyncio.sleep(POLL_BUSY)

    def _report(self, state: str, detail: str) -> None:
        if self._broker.trouble and state == "late":  # a missing right looks like a time-out here
            state, detail = "failed", self._broker.trouble
        if state != self._state.state or (state != "ok" and detail != self._state.detail):
            write = log.error if state == "failed" else log.info
            write("relay", feed=self.feed.name, state=state, detail=detail)
        self._state = msgspec.structs.replace(self._state, state=state, detail=detail)

    async def _session(self) -> None:
        """One connection to each side, for as long as both live."""
        connection = await self._dial()
        try:
            client = await self._connected(connection)
            async with asyncio.timeout(READ_TIMEOUT):
                await connection.add_listener(channel_of(self.feed.name), lambda *_: self.wake())
            await self._relay(client, connection)
        finally:
            connection.terminate()

    async def _connected(self, connection: Connection) -> Client:
        """The live connection to NATS; what waits for one is measured meanwhile."""
        while True:
            await self._measure(connection)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_IDLE):
                    return await self._broker.connected()

    async def _measure(self, connection: Connection) -> None:
        async with asyncio.timeout(READ_TIMEOUT):
            bounds = await connection.fetchrow(SQL.feed_bounds, self.feed.name)
        if bounds is not None and self._last is not None:
            RELAY_BACKLOG.labels(self.feed.name).set(max(0, bounds["last_seq"] - self._last))

    async def _relay(self, client: Client, connection: Connection) -> None:
        """Look, then publish; look again after every refusal, and when the stream changed by itself."""
        publisher = Publisher(client, self.feed)
        try:
            await publisher.open()
            proven = None
            with self._broker.calling(publisher.give_up):
                while client.is_connected:
                    self._last = await self._look(client.jetstream(timeout=1), connection, proven)
                    await self._measure(connection)
                    try:
                        await self._publish(client, connection, publisher)
                    except RefusedError as refusal:
                        await self._step_back(refusal)
                    proven = self._last
        finally:
            await publisher.close()

    async def _step_back(self, refusal: RefusedError) -> None:
        RELAY_REFUSALS.labels(self.feed.name).inc()
        if refusal.code != WRONG_LAST_SEQUENCE:
            self._report("late", f"the stream takes nothing: {refusal}")
        # A second relay is at work, most likely: step out of its pace.
        await asyncio.sleep(uniform(0.05, 0.2))  # noqa: S311 - jitter, not a secret

    async def _look(self, js: JetStreamContext, connection: Connection, proven: int | None) -> int:
        """The number after which to publish. The stream is read first, then the log; raises `HistoryDiffers`.

        `proven` is the last number whose id this session knows to be the log's: everything from there on is compared,
        unless the stream fell behind it.
        """
        info = await checked(js, self.feed)
        last = info.state.last_seq
        since = proven if proven is not None and proven <= last else None
        found = await ids_at_the_end(js, self.feed.name, info.state, depth=2 * self._window, since=since)
        async with asyncio.timeout(READ_TIMEOUT):
            bounds = await connection.fetchrow(SQL.feed_bounds, self.feed.name)
            if bounds is None or bounds["is_copy"]:
                raise HistoryDiffers(f"feed {self.feed.name} is not in this database, or it is a read-only copy")
            if last > bounds["last_seq"]:
                raise HistoryDiffers(
                    f"stream {self.feed.name} is at {last}, its log only at {bounds['last_seq']}: "
                    "the log lost its tail or somebody else published; an operator must decide"
                )
            await self._compare(connection, found, bounds["oldest"])
            await self._compare_fronts(connection, info.state.first_seq)
        self._takes_batches = bool(info.config.allow_atomic)
        return await self._skip_trimmed(js, last, bounds["oldest"])

    async def _compare(self, connection: Connection, found: Mapping[int, str | None], oldest: int) -> None:
        """A message that is gone is lawful where its event is erased, or in a feed that forgets by age."""
        if not found:
            return
        rows = await connection.fetch(SQL.event_ids, self.feed.name, min(found), max(found))
        known = {row["seq"]: str(row["id"]) for row in rows}
        erased = {row["seq"] for row in rows if row["is_erased"]}
        for seq, stream_id in sorted(found.items()):
            lawful = self.feed.trimmed or seq in erased if stream_id is None else known.get(seq) == stream_id
            if not lawful and not (self.feed.trimmed and seq < oldest):
                there = "gone" if stream_id is None else stream_id or "no event"
                raise HistoryDiffers(
                    f"message {seq} of stream {self.feed.name} is {there}, the log has "
                    f"{known.get(seq)} there: two histories; an operator must decide"
                )

    async def _compare_fronts(self, connection: Connection, first_seq: int) -> None:
        """What is gone before the stream's first message is not looked at one by one: nothing of it may be kept."""
        oldest = await connection.fetchval(SQL.oldest_kept, self.feed.name)
        if oldest is not None and oldest < first_seq and not self.feed.trimmed:
            raise HistoryDiffers(
                f"stream {self.feed.name} begins at {first_seq}, its log has {oldest}, which is not erased: "
                "messages are gone; an operator must decide"
            )

    async def _skip_trimmed(self, js: JetStreamContext, last: int, oldest: int) -> int:
        if oldest <= last + 1:
            return last
        if not self.feed.trimmed:
            raise HistoryDiffers(f"the log of {self.feed.name} begins at {oldest}, its stream ends at {last}")
        await js.purge_stream(self.feed.name, seq=oldest)
        RELAY_SKIPPED.labels(self.feed.name).inc(oldest - 1 - last)
        log.warning("stream purged up to the trimmed log", feed=self.feed.name, skipped=oldest - 1 - last)
        return oldest - 1

    async def _publish(self, client: Client, connection: Connection, publisher: Publisher) -> None:
        """Publish what follows the last number, window by window, until the stream is no longer where it was left.

        The first window goes message by message, also where the stream takes whole ones: of two relays side by side one
        would be refused as long as the other one is quicker. Raises `RefusedError`.
        """
        clock = asyncio.get_running_loop().time
        whole, rows = False, await self._following(connection)
        while client.is_connected:
            began = clock()
            await self._publish_on(connection, publisher, rows, whole=whole)
            whole = self._takes_batches
            self._report("ok", f"at {self._last}")
            RELAY_BACKLOG.labels(self.feed.name).set(0)
            if not await self._hears_news():
                info = await checked(client.jetstream(timeout=1), self.feed)
                if info.state.last_seq != self._last:
                    return
                self._takes_batches = bool(info.config.allow_atomic)
            await asyncio.sleep(began + PACE - clock())
            rows = await self._following(connection)
        raise nats.errors.ConnectionClosedError

    async def _following(self, connection: Connection) -> Sequence[asyncpg.Record]:
        """The window that follows the last number, perhaps an empty one."""
        self._news.clear()
        return await self._read(connection, self._last or 0)

    async def _read(self, connection: Connection, last: int) -> Sequence[asyncpg.Record]:
        async with asyncio.timeout(READ_TIMEOUT):
            rows: Sequence[asyncpg.Record] = await connection.fetch(SQL.read_log, self.feed.name, last, self._window)
        return rows

    async def _publish_on(
        self, connection: Connection, publisher: Publisher, rows: Sequence[asyncpg.Record], *, whole: bool
    ) -> None:
        """Publish rows, and behind a full window what follows it.

        A window is sent while the stream stores the one before it, if that one is stored whole or not at all: of two
        that went message by message, what is behind a refused message would be stored.
        """
        sent: list[_Sent] = []
        while rows:
            if sent and sent[0].window.answered.done():
                await self._settle(publisher, sent)  # nothing goes behind what is known to be refused
            started, window = time_ns(), await publisher.send(rows, whole=whole)
            sent.append(_Sent(rows, started, window))
            await self._settle(publisher, sent, but=1 if window.is_whole else 0)
            try:
                rows = await self._behind(connection, rows)
            except AWAY:
                await self._settle(publisher, sent)  # the stream may have it, whatever became of the log
                raise
            whole = self._takes_batches
        await self._settle(publisher, sent)

    async def _behind(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> Sequence[asyncpg.Record]:
        """What follows a full window."""
        if len(rows) < self._window:
            return ()
        await self._measure(connection)
        return await self._read(connection, rows[-1]["seq"])

    async def _settle(self, publisher: Publisher, sent: list[_Sent], *, but: int = 0) -> None:
        """Wait until the stream has what was sent, but for the last so many windows. Raises `RefusedError`."""
        while len(sent) > but:
            window = sent.pop(0)
            await publisher.stored(window.window)
            self._tell(window.rows, window.started)
            self._last = window.rows[-1]["seq"]
            RELAYED.labels(self.feed.name).inc(len(window.rows))
            self._report("ok", f"at {self._last}")

    def _tell(self, rows: Sequence[asyncpg.Record], started: int) -> None:
        """Each event's publishing is a hop of its own trace, as long as that of its window."""
        for row in rows:
            if is_recorded(row["traceparent"]) and is_recorded(at := after(row["traceparent"], row["time"])):
                facts = about_event(row["id"], row["type"], row["seq"])
                about = about_message("send", "publish", self.feed.name, len(rows)) | facts
                name = f"publish {self.feed.name}"
                record(name, "producer", at, within=row["traceparent"], started=started, attributes=about)

    async def _hears_news(self) -> bool:
        """Wait for a wake-up; False when the poll's time passed without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(beat(POLL_IDLE)):
                return await self._news.wait()
        return False


def channel_of(feed: str) -> str:
    """The NOTIFY channel on which a writer in another process tells of new events."""
    return f"events_{feed.lower()}"
