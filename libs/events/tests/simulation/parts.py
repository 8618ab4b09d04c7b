"""The processes of a history: each is wired of the library's real parts, as a service's `main` wires them."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from feeding import CODEC, FEED

from events.consumer import Consumer
from events.errors import Undecodable
from events.hearing import Event, Hears
from events.log import Log
from events.notify import Notifier
from events.postgres import transaction
from events.relay import Relay, channel_of
from events.work import Row, WorkTable, lasting
from simulation.loop import Loop, Process
from simulation.nats import Link, Wire
from simulation.pool import Pool
from simulation.postgres import ACTOR, Server
from simulation.provider import Provider
from simulation.queries_work import EFFECT, LETTERS, TABLE

CONSUMER = "hearer"
LEASE = 1.2
Run = Callable[[], Coroutine[Any, Any, None]]


class World(Protocol):
    """What a part needs of the world."""

    loop: Loop
    server: Server
    wire: Wire
    provider: Provider
    poison: dict[int, str]
    window: int

    def clock(self) -> datetime: ...

    def ended(self, name: str, error: BaseException) -> None: ...


class Part:
    """A process that starts, dies and starts again. `build` says what runs in it; it is called inside the process."""

    def __init__(self, world: World, name: str, build: Callable[[World], tuple[Any, Sequence[Run]]]) -> None:
        self.name = name
        self.world = world
        self.build = build
        self.heart: Any = None
        self.process: Process | None = None

    @property
    def is_up(self) -> bool:
        return self.process is not None and not self.process.dead

    def start(self) -> None:
        self.process = self.world.loop.process(self.name)
        self.world.loop.spawn(self.process, self._run())

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
        self.heart = None

    async def _run(self) -> None:
        self.heart, tasks = self.build(self.world)
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task())
        except Exception as error:
            self.world.ended(self.name, _root(error))
            raise


def _root(error: BaseException) -> BaseException:
    return _root(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def writer(world: World) -> tuple[Log, Sequence[Run]]:
    """The writing end, which tells the relay's process by NOTIFY."""
    notifier = Notifier(channel_of(FEED.name), world.server.dial)
    log = Log(FEED.name, world.server.dial, on_appended=notifier.wake)
    return log, (log.run, notifier.run)


def relay(world: World) -> tuple[Relay, Sequence[Run]]:
    """One relay."""
    link = Link(world.wire)
    heart = Relay(FEED, world.server.dial, link, window=world.window)  # type: ignore[arg-type]
    return heart, (link.run, heart.run)


def hearer(world: World) -> tuple[Consumer, Sequence[Run]]:
    """A consumer that copies what it hears and writes a letter an event, and the workers that send these."""
    link = Link(world.wire)
    pool = Pool(world.server.dial)
    table = WorkTable(TABLE, pool, lease=LEASE, clock=world.clock)  # type: ignore[arg-type]
    hands = Hands(world, table, pool)
    hears = Hears(FEED, hands.hear, on_heard=table.wake)
    heart = Consumer(CONSUMER, [hears], world.server.dial, link, CODEC)  # type: ignore[arg-type]

    async def work() -> None:
        await table.run(hands.send, judge=hands.judge, expire=hands.expire, workers=1)

    return heart, (link.run, heart.run, work)


class Hands:
    """What a service brings: a handler, and what its workers do with a row."""

    def __init__(self, world: World, table: WorkTable, pool: Pool) -> None:
        self._world = world
        self._table = table
        self._pool = pool

    async def hear(self, connection: Any, events: Sequence[Event]) -> None:
        """The effect: a row an event, and a letter for each."""
        for event in events:
            fault = self._world.poison.get(event.envelope.seq)
            if fault is not None:
                raise Undecodable("poison") if fault == "poison" else RuntimeError("a handler's bug")
        said = [event.envelope for event in events]
        await connection.execute(EFFECT, [e.seq for e in said], [e.subject for e in said], [e.id for e in said])
        ends = [None if e.seq % 7 else datetime.fromtimestamp(e.time.timestamp() + 5, UTC) for e in said]
        await connection.execute(LETTERS, [e.id for e in said], ends)

    async def send(self, row: Row) -> None:
        """Mark, hand over, write what became of it: in this order."""
        ACTOR.set(row["token"])
        if not await self._table.sending(row):
            return
        if await self._world.provider.take(row):
            await lasting(row, lambda: self._settle(row, "sent"))
        else:
            await lasting(row, lambda: self._table.retry(row, "refused"))

    async def judge(self, row: Row) -> None:
        """Nobody knows whether it was sent: it is called so, and not sent again."""
        ACTOR.set(row["token"])
        await self._world.provider.look_for()
        await self._settle(row, "unknown")

    async def expire(self, row: Row) -> None:
        """Too late to be sent."""
        ACTOR.set(row["token"])
        await self._settle(row, "expired")

    async def _settle(self, row: Row, state: str) -> None:
        async with self._pool.acquire() as connection, transaction(connection):
            await self._table.settle(connection, row, state)
