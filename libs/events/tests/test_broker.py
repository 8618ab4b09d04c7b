"""The connection to NATS: a server that never answers costs time, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from feeding import running
from nats.aio.client import Client
from structlog.testing import capture_logs

import events.broker
from events.broker import Broker
from local.fixtures import until
from local.nats import Nats


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A try at a server ends soon."""
    monkeypatch.setattr(events.broker, "CONNECT_TIMEOUT", 0.3)


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
            await until(lambda: tries >= 2, within=20)
    assert [line["event"] for line in lines] == ["nats is out of reach; trying again and again"]


async def test_a_connection_with_unsent_bytes_is_dropped_without_a_word(nats: Nats) -> None:
    broker = Broker(nats.url(), name="test")
    async with running(broker.run):
        client = await broker.connected()
        nats.pause()
        for _ in range(200):
            await client.publish("stuffing", bytes(100_000))
        await client.publish("unsent", b"x")
        assert client._pending_data_size
        await broker._drop()
        assert client.is_closed
        nats.resume()


async def test_a_silent_server_is_cut_at_the_second_question_that_is_not_answered(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third one would be three seconds more: no consumer would be back within ten."""
    for name, quarter in (("PROBE_EVERY", 0.5), ("API_TIMEOUT", 0.25), ("SILENCE_MAX", 1.5)):
        assert getattr(events.broker, name) == quarter * 4
        monkeypatch.setattr(events.broker, name, quarter)
    broker = Broker(nats.url(), name="test")
    answered, unanswered = 0, 0

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal answered, unanswered
        unanswered += 1
        answer = await request(*arguments, **options)
        unanswered, answered = 0, answered + 1
        return answer

    async with running(broker.run):
        client = await broker.connected()
        request, client.request = client.request, counted  # type: ignore[method-assign]
        await until(lambda: answered)
        nats.pause()
        await until(lambda: client.is_closed)
        nats.resume()
    assert unanswered == 2


ASKED: dict[str, tuple[Callable[[Client], Awaitable[object]], Callable[[Client], list[asyncio.Future[Any]]]]] = {
    "a request": (
        lambda client: client.request("$JS.API.INFO", b"", timeout=1),
        lambda client: list(client._resp_map.values()),
    ),
    "a flush": (lambda client: client.flush(timeout=1), lambda client: client._pongs),
}


@pytest.mark.parametrize(("ask", "awaited"), ASKED.values(), ids=ASKED)
async def test_a_cancel_that_meets_an_answer_is_heeded(
    nats: Nats,
    ask: Callable[[Client], Awaitable[object]],
    awaited: Callable[[Client], list[asyncio.Future[Any]]],
) -> None:
    broker = Broker(nats.url(), name="test")

    async def ask_on_and_on() -> None:
        while True:
            await ask(client)

    async with running(broker.run):
        client = await broker.connected()
        for _ in range(20):
            task = asyncio.create_task(ask_on_and_on())
            [answer, *_] = await until(lambda: awaited(client))
            answer.add_done_callback(lambda _, task=task: task.cancel())
            await asyncio.wait([task], timeout=2)
            assert task.cancelled()


async def test_a_cancel_that_a_failing_try_swallows_is_heeded(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = asyncio.Queue[None]()

    async def swallowed(*_: object, **__: object) -> None:
        tries.put_nowait(None)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if tries.qsize() == 1:
                raise TimeoutError from None
            raise

    monkeypatch.setattr(events.broker._Client, "connect", swallowed)
    task = asyncio.create_task(Broker(f"nats://127.0.0.1:{free_port()}", name="test").run())
    await until(lambda: tries.qsize() == 1)
    task.cancel()
    await asyncio.wait([task], timeout=2)
    assert tries.qsize() == 1
    assert task.cancelled()
