"""Live connections: many people on one process, events in the log, sockets cut at random and resumed.

From when an append is answered until its frame is read. In the end every client has the numbers of its inbox, in order.
"""

import argparse
import asyncio
import gc
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Final
from uuid import UUID

import asyncpg
import httpx
import msgspec
import uvloop
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.counts import Unsound
from bench.figures import percentile
from bench.stack import Stack, running
from bench.todos import created, toggled
from events.command import Command
from events.ids import uuid7
from events.log import Log
from events.notify import Notifier
from events.postgres import dialer
from events.relay import channel_of
from todos.tables import TodoRow

_AT_ONCE: Final = 50
_BURST: Final = 5
"""Completions at once: a clock that strikes for each of 500 a second is a load of its own."""
_SETTLING: Final = 5.0
_OVERTIME: Final = 60.0


class _Notification(msgspec.Struct):
    id: UUID
    number: int


class _Frame(msgspec.Struct):
    type: str
    notification: _Notification | None = None


_decode: Final = msgspec.json.Decoder(_Frame).decode


class Follower(WSListener):
    """A person's client, which comes back whenever it is cut off and names the last number that it saw.

    A client in C: one in Python took a core for itself, and its own queue was told as the service's.
    """

    def __init__(self, person: UUID, token: str, url: str, http: httpx.AsyncClient, door: asyncio.Semaphore) -> None:
        super().__init__()
        self.person = person
        self.numbers: list[int] = []
        self.arrived: dict[UUID, float] = {}
        self.greeted: list[float] = []
        self._headers = {"authorization": f"Bearer {token}"}
        self._url = url
        self._http = http
        self._door = door
        self._socket: WSTransport | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            with suppress(WSError, OSError, httpx.TransportError):
                await self._follow()

    async def _follow(self) -> None:
        async with self._door:  # the client's pool is slow where thousands wait for it
            sold = await self._http.post("/notifications/ticket", headers=self._headers)
        ticket = sold.raise_for_status().json()["data"]["ticket"]
        last = self.numbers[-1] if self.numbers else 0
        address = f"{self._url}/notifications/ws?ticket={ticket}&last={last}"
        self._socket, _ = await ws_connect(lambda: self, address)
        await self._socket.wait_disconnected()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Note when a notification came; the first frame of a connection is its greeting."""
        now = perf_counter()
        if frame.msg_type != WSMsgType.TEXT:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            return
        told = _decode(frame.get_payload_as_memoryview())
        if told.type == "hello":
            self.greeted.append(now)
        if (notification := told.notification) is not None:
            self.numbers.append(notification.number)
            self.arrived[notification.id] = now

    def cut(self) -> None:
        """The line goes dead without a word."""
        if self._socket is not None:
            self._socket.underlying_transport.abort()


def main() -> None:
    """Print what notifications took, and what an idle socket holds; fails where a client lacks a number."""
    parser = argparse.ArgumentParser(prog="bench.sockets", description="Measure live connections")
    parser.add_argument("--people", type=int, default=2000, help="people, each with a socket (2000)")
    parser.add_argument("--rate", type=int, default=500, help="notifications per second (500)")
    parser.add_argument("--seconds", type=int, default=60, help="for how long (60)")
    parser.add_argument("--cuts", type=int, default=10, help="sockets cut off per second (10)")
    parser.add_argument("--with-all", action="store_true", help="leave activity and mailer running, which hear as much")
    options = parser.parse_args()
    gc.disable()  # the client's own stops, up to 0.8 s, would be told as the service's
    with running() as stack:
        if not options.with_all:
            stack.stop("activity", "mailer")
        uvloop.run(_measure(stack, options))


async def _measure(stack: Stack, options: argparse.Namespace) -> None:
    before = stack.memory("notifier")
    limits = httpx.Limits(max_connections=_AT_ONCE)
    async with httpx.AsyncClient(base_url=stack.notifier, limits=limits, timeout=30) as http:
        url = stack.notifier.replace("http", "ws", 1)
        door, ids = asyncio.Semaphore(_AT_ONCE), [uuid7() for _ in range(options.people)]
        followers = [Follower(person, stack.token(person), url, http, door) for person in ids]
        async with asyncio.TaskGroup() as group:
            following = [group.create_task(each.run()) for each in followers]
            await _until(lambda: all(each.greeted for each in followers))
            await asyncio.sleep(_SETTLING)
            idle = (stack.memory("notifier") - before) / options.people
            appended, cuts = await _say(stack, followers, options)
            await _until(lambda: sum(len(each.numbers) for each in followers) >= len(appended))
            for task in following:
                task.cancel()
    await _reconcile(stack, followers)
    _tell(followers, appended, cuts, idle)


async def _say(
    stack: Stack, followers: Sequence[Follower], options: argparse.Namespace
) -> tuple[dict[UUID, float], int]:
    """Complete a to-do so many times a second while lines are cut; when each append was answered, and how many cuts."""
    appended: dict[UUID, float] = {}
    dial = dialer(stack.todos_url, application="bench")
    waker = Notifier(channel_of("TODOS"), dial)
    log = Log("TODOS", dial, on_appended=waker.wake)
    writing = [asyncio.create_task(task()) for task in (log.run, waker.run)]
    made = await _made(log, [random.choice(followers).person for _ in range(options.rate * options.seconds)])
    commands = [toggled(row) for row in made]  # before anything is measured: what decides is no client's
    await _heard(stack)
    cuts: list[float] = []
    cutting = asyncio.create_task(_cut(followers, options.cuts, cuts))
    started = perf_counter()

    async def complete(command: Command) -> None:
        await log.append(command)
        appended[command.events[0].id] = perf_counter()

    async with asyncio.TaskGroup() as group:
        for nr in range(0, len(commands), _BURST):
            await asyncio.sleep(started + nr / options.rate - perf_counter())
            for command in commands[nr : nr + _BURST]:
                group.create_task(complete(command))
    for task in (cutting, *writing):
        task.cancel()
    await asyncio.wait([cutting, *writing])
    return appended, len(cuts)


async def _made(log: Log, people: Sequence[UUID]) -> list[TodoRow]:
    made = [created(uuid7(), person) for person in people]
    for at in range(0, len(made), 500):
        await asyncio.gather(*(log.append(command) for command, _ in made[at : at + 500]))
    return [row for _, row in made]


async def _cut(followers: Sequence[Follower], rate: int, cuts: list[float]) -> None:
    while True:
        random.choice(followers).cut()
        cuts.append(perf_counter())
        await asyncio.sleep(1 / rate)


async def _heard(stack: Stack) -> None:
    """The notifier has heard what was made so far: it is not measured."""
    todos = await stack.connect("todos")
    last = await todos.fetchval("select last_seq from events.feed where name = 'TODOS'")
    await todos.close()
    connection = await stack.connect("notifier")
    query = "select seq from events.checkpoint where consumer = 'notifier' and feed = 'TODOS'"
    async with asyncio.timeout(_OVERTIME):
        while (await connection.fetchval(query) or 0) < last:  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.1)
    await connection.close()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(_OVERTIME):
        while not holds():  # noqa: ASYNC110 - many tasks' doing, looked at seldom
            await asyncio.sleep(0.05)


async def _reconcile(stack: Stack, followers: Sequence[Follower]) -> None:
    connection: asyncpg.Connection = await stack.connect("notifier")
    there: dict[UUID, list[int]] = defaultdict(list)
    for row in await connection.fetch("select user_id, number from notification order by 1, 2"):
        there[row["user_id"]].append(row["number"])
    await connection.close()
    wrong = [each.person for each in followers if each.numbers != there[each.person]]
    if wrong:
        raise Unsound(f"{len(wrong)} clients do not have the numbers of their inboxes")


def _tell(followers: Sequence[Follower], appended: dict[UUID, float], cuts: int, idle: float) -> None:
    connected: list[float] = []
    away: list[float] = []
    for each in followers:
        for id_, at in each.arrived.items():
            took = max(0.0, at - appended[id_])
            (away if any(appended[id_] <= back <= at for back in each.greeted) else connected).append(took)
    print("| frames | p50 ms | p99 ms | max ms |\n|---|---|---|---|")
    for name, times in (("to an open socket", connected), ("missed while cut off, after resuming", away)):
        print(f"| {len(times):,} {name} | {' | '.join(f'{percentile(times, n):.1f}' for n in (50, 99, 100))} |")
    print(f"\n{len(followers):,} sockets on one process, {cuts:,} cuts; an idle socket holds {idle / 1024:.1f} KiB.")
    print("Every client ended with exactly the numbers of its inbox, in order.")


if __name__ == "__main__":
    main()
