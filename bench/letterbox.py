"""A mail server in this process that notes when which letter came to whom: plain SMTP (RFC 5321), a line at a time."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final, cast

_END: Final = b"\r\n"
_DOT: Final = b"\r\n.\r\n"
_ANSWERS: Final = {
    b"EHLO": b"250-bench\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
    b"HELO": b"250 bench\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


class Letterbox:
    """When letters came and the last one, by recipient; each is answered `delay` seconds after it is here."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.came: dict[str, list[float]] = defaultdict(list)
        self.letters: dict[str, bytes] = {}

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Listen while the body runs."""
        server = await asyncio.get_running_loop().create_server(lambda: _Line(self), "127.0.0.1", port)
        try:
            yield
        finally:
            server.close()


class _Line(asyncio.Protocol):
    def __init__(self, box: Letterbox) -> None:
        self._box = box
        self._got = bytearray()
        self._in_letter = False
        self._recipient = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 bench\r\n")

    def data_received(self, data: bytes) -> None:
        self._got += data
        while True:
            part, end, rest = self._got.partition(_DOT if self._in_letter else _END)
            if not end:
                return
            self._got = rest
            if self._in_letter:
                self._take(bytes(part))
            else:
                self._hear(bytes(part))

    def _hear(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"RCPT":
            self._recipient = line.partition(b"<")[2].partition(b">")[0].decode()
        self._in_letter = verb == b"DATA"
        self._transport.write(_ANSWERS.get(verb, b"250 ok\r\n"))
        if verb == b"QUIT":
            self._transport.close()

    def _take(self, letter: bytes) -> None:
        self._in_letter = False
        self._box.letters[self._recipient] = letter
        self._box.came[self._recipient].append(perf_counter())
        asyncio.get_running_loop().call_later(self._box.delay, self._say_taken)

    def _say_taken(self) -> None:
        if not self._transport.is_closing():  # who sent it may have been killed meanwhile
            self._transport.write(b"250 taken\r\n")
