"""Two relays at once, one of them stopped for a while, on one node and on three whose leader is killed."""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats.errors
import nats.js.errors
from feeding import client, create, log_ids, make_stream, running, stream_ids

from events.log import Log
from events.notify import Notifier
from events.postgres import dialer
from events.relay import channel_of
from local.fixtures import Database, until
from local.nats import Nats

PART = str(Path(__file__).with_name("part.py"))


@asynccontextmanager
async def relay_process(todos: Database, url: str, *, window: int) -> AsyncIterator[Process]:
    environment = os.environ | {"WINDOW": str(window)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, PART, "relay", todos.url, url, stdout=PIPE, env=environment
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"started\n"
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        await process.wait()
        process._transport.close()


async def equal(todos: Database, servers: Sequence[Nats], count: int, *, within: float) -> None:
    async def complete() -> bool:
        for server in servers:
            try:
                ids = await asyncio.wait_for(stream_ids(server), 5)
            except (OSError, TimeoutError, nats.errors.Error):
                continue
            return len(ids) >= count
        return False

    await until(complete, within=within)
    alive = [server for server in servers if server.child and server.child.alive]
    assert await stream_ids(alive[0]) == await log_ids(todos)


async def flow(log: Log, batches: int, each: int) -> None:
    for _ in range(batches):
        await asyncio.gather(*(log.append(create()) for _ in range(each)))
        await asyncio.sleep(0.01)


async def test_a_relay_that_was_stopped_and_wakes_repeats_and_reorders_nothing(
    todos: Database, nats: Nats, full: bool
) -> None:
    await make_stream(nats)
    rounds = 20 if full else 4
    dial = dialer(todos.url, application="writer")
    notifier = Notifier(channel_of("TODOS"), dial)
    log = Log("TODOS", dial, on_appended=notifier.wake)
    url = nats.url("todos")
    chance = random.Random(5)
    async with (
        running(log.run, notifier.run),
        relay_process(todos, url, window=100) as one,
        relay_process(todos, url, window=37) as two,
    ):
        for _ in range(rounds):
            writing = asyncio.create_task(flow(log, 20, 50))
            stopped = chance.choice([one, two])
            await asyncio.sleep(chance.uniform(0.01, 0.1))
            stopped.send_signal(signal.SIGSTOP)
            await writing
            stopped.send_signal(signal.SIGCONT)
        await equal(todos, [nats], rounds * 1000, within=30)


async def test_two_relays_over_three_nodes_whose_leader_is_killed(
    todos: Database, nats_cluster: list[Nats], full: bool
) -> None:
    await until(lambda: three_replicas(nats_cluster[0]), within=30)
    rounds = 10 if full else 2
    dial = dialer(todos.url, application="writer")
    notifier = Notifier(channel_of("TODOS"), dial)
    log = Log("TODOS", dial, on_appended=notifier.wake)
    url = ",".join(server.url("todos") for server in nats_cluster)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(log.run, notifier.run))
        one = await stack.enter_async_context(relay_process(todos, url, window=100))
        await stack.enter_async_context(relay_process(todos, url, window=37))
        for round_ in range(1, rounds + 1):
            writing = asyncio.create_task(flow(log, 20, 50))
            one.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.05)
            leader = await until(lambda: leader_of(nats_cluster), within=20)
            leader.kill()
            await writing
            one.send_signal(signal.SIGCONT)
            leader.start()
            await equal(todos, nats_cluster, 1000 * round_, within=60)


async def three_replicas(server: Nats) -> bool:
    try:
        await make_stream(server, replicas=3)
    except (OSError, TimeoutError, nats.errors.Error):
        return False
    return True


async def leader_of(servers: Sequence[Nats]) -> Nats | None:
    for server in servers:
        try:
            async with client(server) as nc:
                info = await nc.jetstream(timeout=2).stream_info("TODOS")
        except (OSError, TimeoutError, nats.errors.Error):
            continue
        for candidate in servers:
            if info.cluster and candidate.name == info.cluster.leader:
                return candidate
    return None
