"""The holes of a stream: lawful exactly where the stream says that it deleted the number (docs/adr/0011)."""

from nats.js import JetStreamContext

from events.errors import HistoryDiffers
from events.streams import Presence, state_with_deleted
from events.telemetry import UNVERIFIED


class Holes:
    """What one opening of a stream knows of its deleted numbers; deleted once is deleted for good."""

    def __init__(self, consumer: str, feed: str) -> None:
        self._consumer = consumer
        self._feed = feed
        self._there = Presence()
        UNVERIFIED.labels(consumer, feed)  # a rate needs the zero before the first

    def forget(self) -> None:
        """The stream is opened anew, and may be another."""
        self._there = Presence()

    async def accept(self, js: JetStreamContext, first: int, last: int) -> None:
        """Count a hole as unverified; raises `HistoryDiffers` where the stream does not list all of it as deleted."""
        if not self._there.lacks(first, last):
            self._there = await state_with_deleted(js, self._feed)
        if not self._there.lacks(first, last):
            raise HistoryDiffers(f"stream {self._feed} has no {first} and does not list it as deleted")
        UNVERIFIED.labels(self._consumer, self._feed).inc(last - first + 1)

    async def end(self, js: JetStreamContext, seq: int) -> int:
        """The stream's last number where everything after `seq` is deleted, else `seq`."""
        self._there = await state_with_deleted(js, self._feed)
        last = self._there.last_seq
        return last if last > seq and self._there.lacks(seq + 1, last) else seq
