"""Serves an application over HTTP inside the process's task group: uvicorn without its grip on signals."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn


class AddressTaken(Exception):
    """The address cannot be listened on: stop what holds it, or set another HOST or PORT."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the process."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket (port 0: any free one); raises `AddressTaken`."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise AddressTaken(f"cannot listen on {host}:{port} ({error.strerror}): set another HOST or PORT") from error


async def serve(app: Any, listener: socket.socket, *, drain: float = 5.0) -> None:
    """Serve until cancelled; then stop accepting, let requests in flight end for `drain` seconds, and return."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        loop="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(drain),
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve([listener]))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.should_exit = True
        await running
        raise
