"""How far a consumer is behind: the stream's last number minus the checkpoint, and the age of the oldest in between."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import nats.errors
from nats.js import JetStreamContext

from events.beat import beat
from events.broker import Broker
from events.telemetry import LAG_EVENTS, LAG_SECONDS

EVERY = 2.0


class Lag:
    """Keeps the lag gauges of one consumer in one feed while `run` runs; `position` is where the consumer stands.

    `num_pending` of the server-side consumer is never asked: it is disposable and knows no checkpoint.
    """

    def __init__(self, consumer: str, feed: str, broker: Broker, position: Callable[[], int]) -> None:
        self._labels = (consumer, feed)
        self._feed = feed
        self._broker = broker
        self._position = position
        self._told_at: float | None = None

    async def run(self) -> None:
        """Measure until cancelled."""
        caught_up_at = time.time()
        while True:
            await asyncio.sleep(beat(EVERY))
            if self._told_at is not None:
                caught_up_at, self._told_at = self._told_at, None
                continue
            with suppress(OSError, TimeoutError, nats.errors.Error):
                async with asyncio.timeout(EVERY):
                    caught_up_at = time.time() - await self._measure(await self._broker.jetstream())
                continue
            # Nobody can tell what waits: the lag is as old as what was known last.
            LAG_SECONDS.labels(*self._labels).set(time.time() - caught_up_at)

    def nothing(self) -> None:
        """The consumer saw just now that nothing waits: that need not be asked again."""
        self._told_at = time.time()
        LAG_EVENTS.labels(*self._labels).set(0)
        LAG_SECONDS.labels(*self._labels).set(0)

    def forget(self) -> None:
        """Whoever stands by is behind nobody."""
        self._told_at = None
        for gauge in (LAG_EVENTS, LAG_SECONDS):
            with suppress(KeyError):
                gauge.remove(*self._labels)

    async def _measure(self, js: JetStreamContext) -> float:
        """Set the gauges; returns the lag in seconds."""
        state = (await js.stream_info(self._feed)).state
        passed = max(self._position(), state.first_seq - 1)  # what the stream dropped will never be heard
        waiting = max(0, state.last_seq - passed)
        LAG_EVENTS.labels(*self._labels).set(waiting)  # also where the message after is deleted, and has no age
        seconds = await self._age(js, passed + 1) if waiting else 0.0
        LAG_SECONDS.labels(*self._labels).set(seconds)
        return seconds

    async def _age(self, js: JetStreamContext, seq: int) -> float:
        message = await js.get_msg(self._feed, seq)
        return max(0.0, time.time() - message.time.timestamp()) if message.time else 0.0
