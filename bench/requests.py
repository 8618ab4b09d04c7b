"""A plain HTTP/1.1 client: kept connections, requests prepared as bytes, one at a time over each connection."""

import asyncio
from typing import Final, Self, cast
from urllib.parse import urlsplit

_END: Final = b"\r\n\r\n"
_TIMEOUT: Final = 10.0


class Answer:
    """What came back: the status, the header fields in lower case, the body."""

    def __init__(self, head: bytes, body: bytes) -> None:
        line, *fields = head.decode("latin-1").split("\r\n")
        self.status = int(line.split(" ", 2)[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        self.body = body


class Connection(asyncio.Protocol):
    """One connection. Reading a head costs as little as finding its length: `call` leaves parsing to the caller."""

    def __init__(self) -> None:
        self._got = bytearray()
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the host of a URL."""
        parts = urlsplit(url)
        _, connection = await asyncio.get_running_loop().create_connection(
            cls, parts.hostname or "127.0.0.1", parts.port or 80
        )
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's hook."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is none by class

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio's hook."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server closed the connection"))

    async def call(self, request: bytes) -> tuple[bytes, bytes]:
        """Send one request; returns head and body. Raises `OSError` and, after 10 s, `TimeoutError`."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(_TIMEOUT):
            return await self._answer

    def data_received(self, data: bytes) -> None:
        """asyncio's hook."""
        self._got += data
        head, end, body = self._got.partition(_END)
        if end and len(body) >= _length(head) and self._answer is not None and not self._answer.done():
            self._got = bytearray()
            self._answer.set_result((bytes(head), bytes(body)))

    @property
    def is_open(self) -> bool:
        """Whether the other side has not left."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.close()


def _length(head: bytearray) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


def post(url: str, path: str, body: bytes, token: str) -> bytes:
    """A POST of JSON by a signed-in person, as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}"
    )
    return head.encode() + _END + body


def get(url: str, target: str, token: str) -> bytes:
    """A GET by a signed-in person, as bytes; `target` is a path with its query."""
    head = f"GET {target} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\nauthorization: Bearer {token}"
    return head.encode() + _END
