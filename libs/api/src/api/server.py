"""Serves an application over HTTP inside the process's task group: uvicorn without its grip on signals."""

import asyncio
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.streamed import LONGEST
from events.beat import beat

MESSAGE_LIMIT = 16 * 1024
"""The longest message of a WebSocket's client, in bytes; a longer one closes it (1009)."""
_LONG = 32 * 1024
KEEP_ALIVE = 75
"""For how many seconds an idle connection is kept: longer than by a gateway, which closes it itself, so that no request
meets a closed one. Most keep one for a minute; others must be told (deploy/chart/README.md)."""
IDLE = 1.5
"""The same when leaving, while a gateway sends nothing new: longer than the local one keeps a connection."""
LINGER = LONGEST
"""For how many seconds a connection that is closed waits for its client to take what is not yet sent: auth asks for all
parts of an export at once, and takes the last when it has passed on the others."""
ACCEPTED = 64
"""How many connections are accepted in one turn of the loop: uvloop takes one from each listening socket, and after a
restart who came meanwhile would wait for seconds behind those who have a connection (docs/adr/0031)."""


class AddressTaken(Exception):
    """The address cannot be listened on: stop what holds it, or set another HOST or PORT."""


class _Server(uvicorn.Server):
    """uvicorn's, which looks ten times a second whether it is to end: a fifth of what an idle service costs.

    This one is told. It wakes for the header `date` alone.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """End, once `serve` runs."""
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        """Until told to end."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(beat(1)):
                    await self._leaving.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the process."""
        yield


class _Joined:
    """A transport that sends together what is written in one turn of the loop: a head and its body are one packet.

    What is long goes at once: the transport must be able to say that its client does not keep up.
    """

    def __init__(self, transport: asyncio.Transport, is_cut: Callable[[], bool] = lambda: False) -> None:
        self.transport = transport
        self._is_cut = is_cut
        self._held: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            asyncio.get_running_loop().call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size >= _LONG:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        held, self._held, self._size = self._held, [], 0
        if held and not self.transport.is_closing():
            self.transport.write(b"".join(held))

    def close(self) -> None:
        self.flush()
        if self._is_cut():
            # What is unsent makes nothing whole, and whoever asked again and again would have it all kept.
            self.transport.abort()
        elif self.transport.get_write_buffer_size():
            # Whoever does not read it would keep the connection for ever.
            asyncio.get_running_loop().call_later(LINGER, self.transport.abort)
        self.transport.close()


class _Protocol(HttpToolsProtocol):
    """uvicorn's, which writes an answer's head and body apart: a tenth of a POST's time (docs/adr/0029)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._joined = _Joined(transport, self._is_cut)
        super().connection_made(cast("asyncio.Transport", self._joined))

    def _is_cut(self) -> bool:
        cycle = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def eof_received(self) -> None:
        """A client that says nothing more may still listen: the transport closes next."""
        self._joined.flush()
        super().eof_received()

    def handle_websocket_upgrade(self) -> None:
        """A live connection's frames go straight to the transport."""
        self._joined.flush()
        self.transport = self._joined.transport
        super().handle_websocket_upgrade()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket (port 0: any free one); raises `AddressTaken`."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=2048)
        # Inherited by what it accepts: asyncio sets it only where a socket names its protocol, and an answer in two
        # writes would else wait 40 ms for the client's delayed acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise AddressTaken(f"cannot listen on {host}:{port} ({error.strerror}): set another HOST or PORT") from error
    return listening


async def serve(
    app: Any,
    listener: socket.socket,
    *,
    drain: float = 5.0,
    keep_alive: int = KEEP_ALIVE,
    on_leaving: Callable[[], None] = lambda: None,
) -> None:
    """Serve until cancelled; then stop accepting, let requests in flight end for `drain` seconds, and return.

    `on_leaving` is called first: what goes on without end (a WebSocket) must be told to end.

    Idle connections end after `keep_alive` seconds; when leaving, after `IDLE` at most, or with the next answer.
    """
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_LIMIT,
        ws_per_message_deflate=False,  # short messages gain little, and each socket would keep a window
        loop="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=int(drain),
    )
    server = _Server(config)
    listeners = [listener, *(listener.dup() for _ in range(ACCEPTED - 1))]
    running = asyncio.create_task(server.serve(listeners))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        on_leaving()
        await _empty(server, running)
        server.leave()
        await running
        raise


async def _empty(server: uvicorn.Server, running: asyncio.Task[None]) -> None:
    """Accept nobody, and see those out who are inside.

    A request that was already on its way to a connection closed at once would be lost.
    """
    # Not `asyncio.timeout`: in a task that is being cancelled it raises CancelledError before Python 3.11.3.
    clock = asyncio.get_running_loop().time
    deadline = clock() + IDLE
    while not (server.started or running.done()) and clock() < deadline:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0)
    if not server.started:
        return
    for listening in server.servers:
        listening.close()
    for headers in (server.config.encoded_headers, server.server_state.default_headers):
        headers.append((b"connection", b"close"))
    while server.server_state.connections and clock() < deadline:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.02)
