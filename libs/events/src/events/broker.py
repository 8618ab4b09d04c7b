"""The connection to NATS: found again by itself, and cut when it hangs.

nats-py's own reconnect is switched off: whoever uses a connection opens everything anew on the next one anyway, and a
hung broker with unsent bytes hangs its `close()` and `force_reconnect()` too. Here a lost connection is a new one.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext

from events.access import Access, StrictClient

API_TIMEOUT = 1.0
CONNECT_TIMEOUT = 2
PROBE_EVERY = 2.0
SILENCE_MAX = 6.0
USER_TIMEOUT_MS = 5000

log = structlog.get_logger(__name__)


class Broker:
    """Keeps one connection to NATS while `run` runs. `trouble` says what the server refused, for readiness.

    An `access` that is a URL alone has its user and password in it.
    """

    def __init__(self, access: Access | str, *, name: str) -> None:
        self._access = Access(access) if isinstance(access, str) else access
        self._name = name
        self._client: StrictClient | None = None
        self._arrived = asyncio.Event()
        self._lost = asyncio.Event()
        self._calls: set[Callable[[], None]] = set()
        self._said: set[str] = set()
        self.trouble = ""

    @property
    def is_connected(self) -> bool:
        """Whether there is a live connection now."""
        return self._client is not None and bool(self._client.is_connected)

    async def connected(self) -> Client:
        """The live connection; waits for one."""
        while self._client is None or not self._client.is_connected:
            await self._arrived.wait()
            if self._client is None or not self._client.is_connected:
                self._arrived.clear()
                await asyncio.sleep(0.05)
        return self._client

    async def jetstream(self) -> JetStreamContext:
        """JetStream over the live connection, each API call bounded by one second."""
        return (await self.connected()).jetstream(timeout=API_TIMEOUT)

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Call when a connection is lost, for as long as the block takes: who waits for a message may wait in vain."""
        self._calls.add(call)
        try:
            yield
        finally:
            self._calls.discard(call)

    async def run(self) -> None:
        """Connect, watch, connect again, until cancelled."""
        try:
            while True:
                await self._connect()
                _heed_cancel()
                if self._client is not None:
                    await self._watch(self._client)
                await asyncio.sleep(0.25)
        finally:
            await self._drop()

    async def _connect(self) -> None:
        await self._drop()
        self._lost.clear()
        client = _Client()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT + 1):
                await client.connect(
                    **self._access.options(self._name),
                    connect_timeout=CONNECT_TIMEOUT,
                    ping_interval=10,
                    error_cb=self._on_error,
                    closed_cb=self._on_closed,
                    pending_size=64 * 1024 * 1024,
                )
        except (OSError, TimeoutError, nats.errors.Error) as error:
            self._tell(error)
        else:
            self._use(client)
        finally:
            if client is not self._client:
                client.abort()  # nats-py leaves the socket of a failed try open

    def _tell(self, error: Exception) -> None:
        """Say each reason once. What will not mend itself is trouble: no TLS, a certificate, a login.

        A reset says nothing new: a server that refuses a login may close before the client's next word, and its
        answer is lost to that try.
        """
        name = type(error).__name__
        if name not in self._said:
            detail = {"detail": str(error)} if _is_refusal(error) else {}
            log.warning("nats is out of reach; trying again and again", error=name, **detail)
        self._said.add(name)
        if not isinstance(error, ConnectionResetError):
            self.trouble = f"nats is out of reach: {error}" if _is_refusal(error) else ""

    def _use(self, client: StrictClient) -> None:
        self._said.clear()
        self._client = client
        _bound_unsent_bytes(client)
        self.trouble = ""
        self._arrived.set()
        log.info("connected to nats")

    async def _watch(self, client: Client) -> None:
        """Return when the connection is lost, or cut it after six seconds without a JetStream round trip."""
        heard = time.monotonic()
        while client.is_connected:
            with suppress(TimeoutError, nats.errors.Error):
                await client.request("$JS.API.INFO", b"", timeout=API_TIMEOUT)
                heard = time.monotonic()
            if time.monotonic() - heard > SILENCE_MAX:
                log.error("nats is silent: the connection is cut", seconds=SILENCE_MAX)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_EVERY):
                    await self._lost.wait()

    async def _drop(self) -> None:
        client, self._client = self._client, None
        self._arrived.clear()
        if client is None:
            return
        client.abort()
        with suppress(OSError, TimeoutError, nats.errors.Error):
            async with asyncio.timeout(1):
                await client.close()
        await self._on_closed()  # also where it could not be closed

    async def _on_closed(self) -> None:
        self._lost.set()
        for call in tuple(self._calls):
            call()

    async def _on_error(self, error: Exception) -> None:
        if self._client is None:
            return  # a try that failed: `_connect` says so, once
        # Permission errors come only here: the call itself just times out.
        if "permissions violation" in str(error).lower():
            if self.trouble == str(error):
                return  # each message of a window would write it
            self.trouble = str(error)
        log.error("nats reported an error", error=type(error).__name__, detail=str(error))


class _Client(StrictClient):
    """A client whose calls can be cancelled.

    nats-py waits with `asyncio.wait_for`, which on Python 3.11 swallows a cancel that meets the answer, and its flush
    and its close swallow every one. Whoever asks or connects in a loop would then go on for ever.
    """

    async def publish(self, *arguments: Any, **options: Any) -> None:
        await super().publish(*arguments, **options)
        _heed_cancel()

    async def request(self, *arguments: Any, **options: Any) -> Msg:
        answer = await super().request(*arguments, **options)
        _heed_cancel()
        return answer

    async def flush(self, *arguments: Any, **options: Any) -> None:
        await super().flush(*arguments, **options)
        _heed_cancel()

    async def subscribe(self, *arguments: Any, **options: Any) -> Subscription:
        subscription = await super().subscribe(*arguments, **options)
        _heed_cancel()
        return subscription


def _heed_cancel() -> None:
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, ssl.SSLError) or type(error) in {nats.errors.Error, nats.errors.AuthorizationError}


def _bound_unsent_bytes(client: StrictClient) -> None:
    """Let the kernel end a connection whose bytes nobody acknowledges (RFC 5482)."""
    sock = client.transport.get_extra_info("socket") if client.transport is not None else None
    if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
