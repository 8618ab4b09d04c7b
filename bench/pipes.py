"""Relay and activity's consumer, each as the worker process of its service, beside a stream alone."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import asyncpg
import psutil
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from bench.counts import SQL, Unsound, heard
from bench.figures import Goal, at_least, spread, table
from bench.flows import Flow, flow
from bench.streaming import FETCH, PUBLISH, Job, streamed
from bench.workshop import Workshop
from events.access import Access, connect
from events.admin import apply_streams
from local.console import say
from local.nats import Nats

RELAY: Final = "the relay, in the worker of todos"
ALWAYS: Final = "the relay, `sync_interval: always`"
CONSUMER: Final = "the consumer, in the worker of activity"
_ALWAYS_EVENTS: Final = 25_000
_PEOPLE: Final = 1_000

Flows = dict[str, list[Flow]]


class Pipes:
    """A log of so many events, and what is measured of its way."""

    def __init__(self, workshop: Workshop, events: int) -> None:
        self._workshop = workshop
        self._events = events
        self.relayed: Flows = defaultdict(list)
        self.heard: Flows = defaultdict(list)

    async def prepare(self) -> None:
        """Fill the log."""
        owner = await self._workshop.connect("todos", "todos")
        try:
            async with owner.transaction():
                await owner.execute(SQL.fill_log, self._events, _PEOPLE)
                await owner.execute("update events.feed set last_seq = $1 where name = 'TODOS'", self._events)
            await owner.execute("vacuum analyze events.log")
            counts = await owner.fetchrow(SQL.log_end, "TODOS")
            if counts is None or set(counts.values()) != {self._events}:
                raise Unsound(f"{self._events} events were to be in the log: {counts}")
        finally:
            await owner.close()

    async def relay_round(self) -> None:
        """The relay and its peers, then the same where the server flushes before it acknowledges."""
        nats, always = self._workshop.nats, self._workshop.always
        for way, (_, most) in PUBLISH.items():
            self._told(self.relayed, way, await streamed(self._job(way, min(most, self._events), nats)))
        few = min(_ALWAYS_EVENTS, self._events)
        self._told(self.relayed, ALWAYS, await self._relay(always, few, whole=False))
        self._told(self.relayed, RELAY, await self._relay(nats, self._events))

    async def consumer_round(self, nr: int) -> None:
        """The consumer in a database of its own, and its peers, over what the relay put into the stream."""
        for way in FETCH:
            self._told(self.heard, way, await streamed(self._job(way, self._events, self._workshop.nats)))
        self._told(self.heard, CONSUMER, await self._consume(f"activity_{nr}"))

    def _told(self, flows: Flows, way: str, one: Flow) -> None:
        flows[way].append(one)
        say(f"bench: {way}: {one.rate:,.0f}/s, {one.per_100_000('worker'):.2f} s of a processor per 100,000")

    def _job(self, way: str, events: int, nats: Nats) -> Job:
        return Job(
            way=way, events=events, broker=nats.url(), database=self._workshop.postgres.url("todos", "todos_owner")
        )

    async def _relay(self, nats: Nats, upto: int, *, whole: bool = True) -> Flow:
        """A stream made anew is filled from the log, or up to a number; raises `Unsound` where it has other than it."""
        client = await connect(Access(nats.url()), name="bench")
        try:
            await self._empty(client)
            js = client.jetstream(timeout=5)

            async def look() -> int:
                return int((await js.stream_info("TODOS")).state.last_seq)

            with self._workshop.worker("todos", "todos", nats) as worker:
                one = await flow(look, upto, self._processes(worker, nats))
            state = (await js.stream_info("TODOS")).state
            if state.last_seq != state.messages or (whole and state.messages != self._events):
                raise Unsound(
                    f"{self._events} events in the log, {state.messages} in the stream, up to {state.last_seq}"
                )
        finally:
            await client.close()
        return one

    async def _empty(self, client: Client) -> None:
        owner = await self._workshop.connect("todos", "todos")
        js = client.jetstream(timeout=5)
        with suppress(NotFoundError):
            await js.delete_stream("TODOS")
        await apply_streams(owner, js, "todos")
        await owner.close()

    async def _consume(self, database: str) -> Flow:
        await self._workshop.add_database(database, "activity")
        owner = await self._workshop.connect(database, "activity")
        try:
            with self._workshop.worker("activity", database, self._workshop.nats) as worker:
                one = await flow(lambda: _place(owner), self._events, self._processes(worker, self._workshop.nats))
            await heard(owner, self._events)
        finally:
            await owner.close()
        self._workshop.postgres.drop_database(database)
        return one

    def _processes(self, worker: psutil.Process, nats: Nats) -> dict[str, psutil.Process]:
        servers = {"PostgreSQL": self._workshop.postgres.child, "NATS": nats.child}
        return {"worker": worker} | {
            name: psutil.Process(child.process.pid) for name, child in servers.items() if child
        }

    def tables(self) -> list[str]:
        """Rates, how they compare, and what they take."""
        ways = ((self.relayed, RELAY, "relay"), (self.heard, CONSUMER, "consumer"))
        return [_table(flows, ours, name) for flows, ours, name in ways if flows]

    def goals(self) -> list[Goal]:
        """Events per second."""
        least = ((self.relayed, RELAY, 40_000), (self.relayed, ALWAYS, 20_000), (self.heard, CONSUMER, 40_000))
        return [
            at_least(f"events/s of {way}", [one.rate for one in flows[way]], rate)
            for flows, way, rate in least
            if way in flows
        ]


async def _place(connection: asyncpg.Connection) -> int:
    query = "select seq from events.checkpoint where consumer = 'activity' and feed = 'TODOS'"
    return await connection.fetchval(query) or 0


def _table(flows: Flows, ours: str, name: str) -> str:
    head = (name, "events/s", "x times ours", "worker, s per 100,000", "PostgreSQL", "NATS")
    return table(head, [_row(way, runs, flows[ours]) for way, runs in flows.items()])


def _row(way: str, runs: Sequence[Flow], ours: Sequence[Flow]) -> tuple[str, ...]:
    compared = [run.rate / our.rate for run, our in zip(runs, ours, strict=True)]
    took = (
        spread([run.per_100_000(name) for run in runs]) if name in runs[0].cpu else ""
        for name in ("worker", "PostgreSQL", "NATS")
    )
    return (way, spread([run.rate for run in runs]), spread(compared), *took)
