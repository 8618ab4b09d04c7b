"""The connection to NATS: a server that never answers costs time, and nothing else."""

import asyncio
from collections.abc import Callable

from feeding import running
from structlog.testing import capture_logs

from events.broker import Broker
from local.fixtures import until


async def test_tries_at_a_deaf_server_leave_no_socket_open() -> None:
    seen: list[asyncio.StreamWriter] = []

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, running(Broker(f"nats://127.0.0.1:{port}", name="test").run):
        for tries in (2, 3, 4):
            await until(lambda: len(seen) >= tries, within=10)  # noqa: B023
            await until(lambda: all(writer.is_closing() for writer in seen[:-1]), within=0.5)


async def test_a_server_that_is_away_is_told_of_once(free_port: Callable[[], int]) -> None:
    broker = Broker(f"nats://127.0.0.1:{free_port()}", name="test")
    tries = 0
    connect = broker._connect

    async def counted() -> None:
        nonlocal tries
        await connect()
        tries += 1

    broker._connect = counted
    with capture_logs() as lines:
        async with running(broker.run):
            await until(lambda: tries >= 4, within=20)
    assert [line["event"] for line in lines] == ["nats is out of reach; trying again and again"]
