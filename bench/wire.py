"""NATS's own protocol, as little of it as a ceiling needs: what the server does for a client that does nothing."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bench.counts import Unsound

_READ: Final = 1 << 20
_ACK: Final = re.compile(rb'MSG \S+?\.(\d+) 1 \d+\r\n\{"stream":"\w+", ?"seq":(\d+)\}\r\n')


class Wire:
    """A connection; only one thing is done over it at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> "Wire":
        """Connect and sign in with the user and password of a URL."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=_READ)
        await reader.readline()
        hello = {"user": parts.username, "pass": parts.password, "verbose": False, "headers": True}
        writer.write(b"CONNECT " + msgspec.json.encode(hello) + b"\r\nPING\r\n")
        if await reader.readline() != b"PONG\r\n":
            raise Unsound("the server does not let the wire in")
        return cls(reader, writer)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def publish(self, inbox: str, frames: Sequence[bytes], window: int) -> None:
        """Send frames whose replies go to `inbox`, two windows on their way.

        Raises `Unsound` where one is answered with anything but its own number.
        """
        self._writer.write(f"SUB {inbox}.* 1\r\n".encode())
        sent = acknowledged = 0
        rest = b""
        while acknowledged < len(frames):
            if sent < len(frames) and sent - acknowledged <= window:
                self._writer.write(b"".join(frames[sent : sent + window]))
                sent = min(sent + window, len(frames))
            rest += await self._some()
            acks = list(_ACK.finditer(rest))
            if any(ack[1] != ack[2] for ack in acks) or b'"error"' in rest:
                raise Unsound("the stream gave another number than was expected")
            acknowledged += len(acks)
            rest = rest[acks[-1].end() :] if acks else rest

    async def fetch(self, subject: str, count: int, batch: int) -> int:
        """Ask for messages at `subject`, two batches on their way, until `count` came; how many bytes they had."""
        self._writer.write(b"SUB wire.fetched 2\r\n")
        request = msgspec.json.encode({"batch": batch, "expires": 2_000_000_000})
        ask = b"PUB %b wire.fetched %d\r\n%b\r\n" % (subject.encode(), len(request), request)
        self._writer.write(ask)
        came = size = 0
        asked, rest = batch, b""
        while came < count:
            if asked - came <= batch:
                self._writer.write(ask)
                asked += batch
            rest += await self._some()
            found, length, rest = _messages(rest)
            came, size = came + found, size + length
        return size

    async def _some(self) -> bytes:
        got = await self._reader.read(_READ)
        if not got:
            raise Unsound("the server hung up")
        return got


def _messages(got: bytes) -> tuple[int, int, bytes]:
    """How many messages are whole, how many bytes they have, and what is left. A status is none."""
    found = size = at = 0
    while (end := got.find(b"\r\n", at)) >= 0:
        kind, *fields = got[at:end].split(b" ")
        if kind == b"HMSG":
            whole = end + 4 + int(fields[-1])
            if whole > len(got):
                break
            if fields[-1] != fields[-2]:
                found, size = found + 1, size + whole - at
            at = whole
        elif kind in {b"PING", b"PONG", b"+OK"}:
            at = end + 2
        else:
            raise Unsound(f"the server says {got[at:end]!r}")
    return found, size, got[at:]


def frame(subject: str, reply: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A message with headers as it is sent."""
    head = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    encoded = head.encode()
    line = f"HPUB {subject} {reply} {len(encoded)} {len(encoded) + len(body)}\r\n"
    return line.encode() + encoded + body + b"\r\n"
