"""Takes away what is left of people with a tombstone: rows, events in the log, then messages in the stream.

Every step may be repeated and none is remembered outside PostgreSQL: killed anywhere, it goes on. Rows need no NATS.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeAlias
from uuid import UUID

import asyncpg
import nats.errors
import nats.js.errors
import structlog
from nats.js import JetStreamContext

from events.beat import beat
from events.broker import Broker
from events.envelope import ERASED
from events.errors import FeedError, HistoryDiffers
from events.feed import Feed
from events.health import Check
from events.postgres import AWAY
from events.sql import load
from events.streams import state_with_deleted
from events.telemetry import ERASED_PEOPLE, MESSAGES_DELETED

SQL = load("events")
EVERY = 1.0
IDLE = 5.0
"""How often is looked while something is left, and while nothing is: who writes a tombstone in this process says so."""
BATCH = 500
AT_ONCE = 100

log = structlog.get_logger(__name__)

Forget: TypeAlias = Callable[[asyncpg.Pool, UUID, int], Awaitable[int]]
"""Takes away up to so many rows about a person, in a transaction of its own; how many."""


async def erase_answers(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Drop the answers that are kept for a person's Idempotency-Keys (a `Forget`)."""
    return int(await pool.fetchval(SQL.answers_erase, person_id, limit))


async def erase_log(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Erase what this service's log says of a person (a `Forget`)."""
    return int(await pool.fetchval(SQL.erase, person_id, limit))


async def erase_parked(pool: asyncpg.Pool, person_id: UUID, limit: int) -> int:
    """Drop what is parked about a person (a `Forget`)."""
    return int(await pool.fetchval(SQL.erase_parked, person_id, limit))


class Eraser:
    """Erases while `run` runs: `steps` are a service's own tables, `feeds` what it publishes."""

    def __init__(self, pool: asyncpg.Pool, broker: Broker, feeds: Sequence[Feed], steps: Sequence[Forget] = ()) -> None:
        self._pool = pool
        self._broker = broker
        self._feeds = [feed for feed in feeds if not feed.trimmed]
        self._steps = (*steps, erase_answers, erase_parked, erase_log)
        self._tombstones = asyncio.Event()
        self._listed = asyncio.Event()
        self._audited: object = None
        self._late: dict[str, str] = {}
        self._faults: dict[str, str] = {}
        for feed in self._feeds:
            MESSAGES_DELETED.labels(feed.name)  # a rate needs the zero before the first

    def wake(self) -> None:
        """There may be a new tombstone."""
        self._tombstones.set()

    def check(self) -> Check:
        """ok, late while something is left to erase, failed where a stream lacks what its log has."""
        if faults := [fault for fault in self._faults.values() if fault]:
            return Check("eraser", "failed", faults[0])
        late = [detail for detail in self._late.values() if detail]
        return Check("eraser", "late", late[0]) if late else Check("eraser", "ok")

    async def run(self) -> None:
        """Erase until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_at("rows", self.erase_rows, self._tombstones))
            group.create_task(self._keep_at("messages", self._connected, self._listed))

    async def _keep_at(self, name: str, work: Callable[[], Awaitable[bool]], news: asyncio.Event) -> None:
        while True:
            news.clear()
            try:
                found = await work()
                self._late[name] = ""
            except (FeedError, nats.errors.Error, *AWAY) as error:
                found = True
                self._late[name] = f"{name} are still to be erased: {type(error).__name__}"
            with suppress(TimeoutError):
                async with asyncio.timeout(beat(EVERY if found else IDLE)):
                    await news.wait()

    async def erase_rows(self) -> bool:
        """Leave nothing of those with a tombstone in this database; whether there was anybody."""
        found = False
        while people := await self._pool.fetch(SQL.erasure_pending, BATCH):
            for row in people:
                for step in self._steps:
                    while await step(self._pool, row["subject"], BATCH):
                        pass
                await self._pool.execute(SQL.erasure_done, row["subject"])
                ERASED_PEOPLE.inc()
            log.info("people are erased", count=len(people))
            self._listed.set()
            found = True
        return found

    async def _connected(self) -> bool:
        while not self._broker.is_connected:
            away = "messages are still to be deleted: NATS is away"
            self._late["messages"] = away if await self._is_listed() else ""
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._broker.connected()
        client = await self._broker.connected()
        found = await self.delete_messages(client.jetstream(timeout=1), fresh=client is not self._audited)
        self._audited = client
        return found

    async def _is_listed(self) -> bool:
        return any([await self._pool.fetchval(SQL.deletions_left, feed.name) for feed in self._feeds])

    async def delete_messages(self, js: JetStreamContext, *, fresh: bool) -> bool:
        """Delete what is listed; on a `fresh` connection also what came back: a broker can lose its last deletions.

        Whether anything was listed: something of it may be left, and it is looked again soon.
        """
        found = False
        for feed in self._feeds:
            if fresh:
                self._faults[feed.name] = await self._audit(js, feed)
            if await self._pool.fetchval(SQL.deletions_left, feed.name):
                await self._delete_listed(js, feed)
                found = True
        return found

    async def _delete_listed(self, js: JetStreamContext, feed: Feed) -> None:
        """What the stream does not have yet stays listed: the relay may have read it before it was erased."""
        last = (await js.stream_info(feed.name)).state.last_seq
        while rows := await self._pool.fetch(SQL.deletions, feed.name, last, BATCH):
            ids = {row["seq"]: row["id"] for row in rows}
            await self._delete(js, feed, ids)
            await self._pool.execute(SQL.deletions_done, feed.name, list(ids))

    async def _audit(self, js: JetStreamContext, feed: Feed) -> str:
        """Delete every erased event that is in the stream after all; returns what the stream lacks unlawfully."""
        if not await self._pool.fetch(SQL.erased_seqs, feed.name):
            return ""
        there = await state_with_deleted(js, feed.name)  # before the log: what is deleted there was erased before
        erased = {row["seq"]: row["id"] for row in await self._pool.fetch(SQL.erased_seqs, feed.name)}
        present = range(there.first_seq, there.last_seq + 1)
        await self._delete(js, feed, {n: i for n, i in erased.items() if n in present and n not in there.deleted})
        oldest = await self._pool.fetchval(SQL.oldest_kept, feed.name)
        front = {oldest} if oldest is not None and oldest < there.first_seq else set()
        if gone := sorted(front | (there.deleted - erased.keys())):
            return f"stream {feed.name} lacks {gone[0]}, which is not erased in its log; an operator must decide"
        return ""

    async def _delete(self, js: JetStreamContext, feed: Feed, ids: Mapping[int, UUID]) -> None:
        for part in _parts(ids.items()):
            await asyncio.gather(*(_delete_message(js, feed.name, seq, event_id) for seq, event_id in part))


async def _delete_message(js: JetStreamContext, stream: str, seq: int, event_id: UUID) -> None:
    """Overwrite and delete one message, unless it is gone or carries nothing any more. Raises `HistoryDiffers`."""
    try:
        headers = (await js.get_msg(stream, seq)).headers or {}
    except nats.js.errors.NotFoundError:
        return
    if headers.get("ce-id") != str(event_id):
        raise HistoryDiffers(f"message {seq} of stream {stream} is not the log's: it is not deleted")
    if headers.get("ce-type") != ERASED:
        await js.delete_msg(stream, seq)  # securely: the server overwrites it, unless it is told `no_erase`
        MESSAGES_DELETED.labels(stream).inc()


def _parts(items: Iterable[tuple[int, UUID]]) -> Iterable[list[tuple[int, UUID]]]:
    left = iter(items)
    while part := list(islice(left, AT_ONCE)):
        yield part
