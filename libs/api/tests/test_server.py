"""Leaving drops no request."""

import asyncio
from time import monotonic
from typing import Any

import httpx
import pytest
import uvicorn
import uvloop
from litestar import get

from api.answers import Answer
from api.app import create_app
from api.server import KEEP_ALIVE, LINGER, AddressTaken, _Joined, _Server, listen, serve
from api.streamed import LONGEST
from api.testing import serving
from events.health import Health
from local.fixtures import until


class Sent(asyncio.Transport):
    """Notes what is sent, until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[bytes] = []
        self.unsent = 0
        self.closed = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.packets.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed


async def test_a_head_and_its_body_are_one_packet_and_the_next_answer_another() -> None:
    sent = Sent()
    joined = _Joined(sent)
    for turn in (1, 2):
        joined.write(b"head %d\r\n" % turn)
        joined.write(b"body %d" % turn)
        await asyncio.sleep(0)
    assert sent.packets == [b"head 1\r\nbody 1", b"head 2\r\nbody 2"]


async def test_a_server_that_is_told_to_end_ends_at_once() -> None:
    server = _Server(uvicorn.Config(lambda: None))
    running = asyncio.create_task(server.main_loop())
    await asyncio.sleep(0)
    assert not running.done()
    server.leave()
    for _ in range(3):
        await asyncio.sleep(0)
    assert running.done()


async def test_an_answer_says_when_it_was_given() -> None:
    """The server puts it together once a second."""

    async def given() -> str:
        return str((await client.get("/")).headers.get("date", ""))

    async def later() -> bool:
        return await given() != first

    async with serving(create_app(title="Test", routes=(), health=Health())) as client:
        first = await until(given)
        await until(later, within=5)


async def test_what_is_written_before_a_close_is_sent_and_nothing_after_it() -> None:
    sent = Sent()
    joined = _Joined(sent)
    joined.write(b"last words")
    joined.close()
    joined.write(b"too late")
    await asyncio.sleep(0)
    assert sent.packets == [b"last words"]
    assert sent.closed


async def test_a_client_that_does_not_take_its_last_words_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.server.LINGER", 0.01)
    sent = Sent()
    sent.unsent = 1
    _Joined(sent).close()
    assert sent.closed
    assert not sent.aborted
    await until(lambda: sent.aborted)


async def test_a_whole_answer_is_there_for_as_long_as_the_longest_before_it_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """auth asks for all parts of an export together and reads one after another (a thousand times as fast, here)."""
    monkeypatch.setattr("api.server.LINGER", LINGER / 1000)
    size = 16 * 1024 * 1024

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * size})

    listener = listen("127.0.0.1", 0)
    server = asyncio.create_task(serve(app, listener, drain=1, keep_alive=0))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5 * LONGEST / 1000)
        assert len(await reader.read(-1)) == size
    writer.close()
    server.cancel()
    await asyncio.wait([server])


async def test_of_an_answer_that_is_cut_nothing_is_kept_for_its_client() -> None:
    """Whoever asks again and again, and reads nothing, would have what is left of each in memory."""
    size, cut = 16 * 1024 * 1024, asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
        cut.set()

    listener = listen("127.0.0.1", 0)
    server = asyncio.create_task(serve(app, listener, drain=1))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        await cut.wait()
        assert 0 < len(await reader.read(-1)) < size
    writer.close()
    server.cancel()
    await asyncio.wait([server])


async def test_what_is_long_is_sent_at_once_so_that_a_slow_client_is_noticed() -> None:
    """Who sends a download piece by piece never lets the loop turn: all of it would be held."""
    sent = Sent()
    joined = _Joined(sent)
    for _ in range(100):
        joined.write(b"x" * 64 * 1024)
    assert len(sent.packets) == 100


def test_who_comes_anew_does_not_wait_behind_those_who_have_a_connection() -> None:
    """As the services run: uvloop takes one connection from a listening socket in each turn of the loop."""

    async def burst() -> int:
        kept, ends = 0, asyncio.Event()

        async def app(scope: Any, _: Any, send: Any) -> None:
            nonlocal kept
            kept += scope["path"] == "/kept"
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        server = asyncio.create_task(serve(app, listener, drain=1))

        async def ask(path: str, *, again: bool = False) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while not ends.is_set():
                writer.write(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
                await reader.readuntil(b"\r\n\r\n")
                if not again:
                    break
            writer.close()

        keeping = asyncio.create_task(ask("/kept", again=True))
        await until(lambda: kept)
        before = kept
        await asyncio.gather(*(ask("/new") for _ in range(200)))
        during = kept - before
        ends.set()
        await keeping
        server.cancel()
        await asyncio.wait([server])
        return during

    assert uvloop.run(burst()) < 30


async def test_a_download_waits_for_a_client_that_does_not_read() -> None:
    pieces = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal pieces
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": b"x" * 64 * 1024, "more_body": True})
            pieces += 1

    listener = listen("127.0.0.1", 0)
    server = asyncio.create_task(serve(app, listener, drain=1))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        await reader.readexactly(1)
        before = -1
        while before != pieces:  # until nothing moves any more
            before = pieces
            await asyncio.sleep(0.2)
    assert 0 < pieces < 400
    writer.transport.abort()
    server.cancel()
    await asyncio.wait([server])


async def test_who_says_that_nothing_more_comes_still_gets_the_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    listener = listen("127.0.0.1", 0)
    server = asyncio.create_task(serve(app, listener, drain=1))
    async with asyncio.timeout(10):
        for _ in range(20):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            writer.write_eof()
            assert (await reader.read()).endswith(b"ok")
            writer.close()
    server.cancel()
    await asyncio.wait([server])


class Gate:
    """Holds requests until it is opened."""

    def __init__(self) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        self.listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serving(self, drain: float, keep_alive: int = KEEP_ALIVE) -> asyncio.Task[None]:
        """The server's task."""

        @get("/slow")
        async def slow() -> Answer[None]:
            self.reached.set()
            await self.open.wait()
            return Answer(b"{}")

        app = create_app(title="x", routes=[slow], health=Health())
        return asyncio.create_task(serve(app, self.listener, drain=drain, keep_alive=keep_alive))


async def test_a_request_in_flight_is_answered_while_new_ones_are_refused() -> None:
    gate = Gate()
    server = gate.serving(drain=5)
    async with httpx.AsyncClient(base_url=gate.url, timeout=5) as client, asyncio.timeout(10):
        in_flight = asyncio.create_task(client.get("/slow"))
        await gate.reached.wait()
        server.cancel()
        await _refused(gate.url)
        assert not in_flight.done()
        gate.open.set()
        assert (await in_flight).status_code == 200
        await asyncio.wait([server])
    assert server.cancelled()


async def test_a_request_on_a_connection_kept_open_is_answered_and_closes_it() -> None:
    gate = Gate()
    gate.open.set()
    server = gate.serving(drain=5)
    async with httpx.AsyncClient(base_url=gate.url, timeout=5) as client, asyncio.timeout(10):
        assert "connection" not in (await client.get("/slow")).headers
        server.cancel()
        await _refused(gate.url)
        answer = await client.get("/slow")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        await asyncio.wait([server])


async def test_an_idle_connection_is_kept_for_as_long_as_was_said() -> None:
    gate = Gate()
    gate.open.set()
    server = gate.serving(drain=1, keep_alive=1)
    async with asyncio.timeout(4):
        reader, writer = await asyncio.open_connection(*gate.listener.getsockname())
        writer.write(b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n")
        assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
        answered = monotonic()
        assert await reader.read() == b""
    assert monotonic() - answered > 0.9
    writer.close()
    server.cancel()
    await asyncio.wait([server])


async def test_a_request_that_does_not_end_cannot_hold_the_process() -> None:
    gate = Gate()
    server = gate.serving(drain=1)
    async with httpx.AsyncClient(base_url=gate.url, timeout=5) as client, asyncio.timeout(5):
        in_flight = asyncio.create_task(client.get("/slow"))
        await gate.reached.wait()
        server.cancel()
        await asyncio.wait([server])
        answer = await in_flight
    assert (answer.status_code, answer.json()["code"]) == (503, "outcome_unknown")
    assert answer.headers["retry-after"] == "1"


async def test_a_server_that_breaks_says_so() -> None:
    gate = Gate()
    gate.listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        await gate.serving(drain=1)


def test_a_taken_address_is_named() -> None:
    with listen("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(AddressTaken, match=f"127.0.0.1:{port}"):
            listen("127.0.0.1", port)


async def _refused(url: str) -> None:
    """Wait until the server takes no connection any more."""
    while True:
        try:
            async with httpx.AsyncClient() as stranger:
                await stranger.get(f"{url}/healthz/live", timeout=0.2)
        except httpx.ConnectError:
            return
        except httpx.HTTPError:
            continue
