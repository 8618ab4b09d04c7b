"""A mail server that takes every mail and answers each after a while, as a process of its own; it counts them.

Plain SMTP (RFC 5321) without extensions. Two verbs of its own: XDELAY sets how long an answer to DATA takes, XBEGIN has
it count from nothing, XCOUNT tells. Made by hand: one that costs more than its clients would be what is measured.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import DEVNULL
from time import perf_counter
from typing import Final, cast

import msgspec
import uvloop

from local import ports
from local.child import Child, wait_until

HOST: Final = "127.0.0.1"
AT_ONCE: Final = 32
"""Connections to the mail server, ours and the peers' alike: so many as there are clients."""
_END: Final = b"\r\n"
_DOT: Final = b"\r\n.\r\n"
_EXTENSIONS: Final = b"250-bench\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
_ANSWERS: Final = {
    b"EHLO": _EXTENSIONS,
    b"HELO": b"250 bench\r\n",
    b"MAIL": b"250 ok\r\n",
    b"RSET": b"250 ok\r\n",
    b"NOOP": b"250 ok\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


def settings(port: int) -> dict[str, str]:
    """Of our mailer: plain SMTP on the loopback interface, and no copies in files, as for the peers."""
    server = {"SMTP_SERVER": HOST, "SMTP_PORT": str(port), "SMTP_STARTTLS": "false"}
    return {**server, "SMTP_CONNECTIONS": str(AT_ONCE), "MAIL_DIR": ""}


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Since the last XBEGIN: mails taken, to how many people, over connections open for so many seconds in all.

    A connection over which no mail came is idle and adds no seconds. `seconds` is how long ago XBEGIN was, `last` how
    long after it the last mail was taken.
    """

    mails: int
    people: int
    connection_seconds: float
    seconds: float
    last: float


class _Server:
    """What all connections share."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.connections: set[_Connection] = set()
        self.begin()

    def begin(self) -> None:
        self.began = self.last = perf_counter()
        self.mails = 0
        self.people: set[bytes] = set()
        self.seconds = 0.0
        for connection in self.connections:
            connection.mails = 0

    def leave(self, connection: "_Connection") -> None:
        self.connections.discard(connection)
        if connection.mails:
            self.seconds += self._open(connection)

    def counts(self) -> Counts:
        busy = (connection for connection in self.connections if connection.mails)
        return Counts(
            mails=self.mails,
            people=len(self.people),
            connection_seconds=self.seconds + sum(map(self._open, busy)),
            seconds=perf_counter() - self.began,
            last=self.last - self.began,
        )

    def take(self, recipient: bytes) -> None:
        self.mails += 1
        self.people.add(recipient)
        self.last = perf_counter()

    def _open(self, connection: "_Connection") -> float:
        return perf_counter() - max(connection.since, self.began)


class _Connection(asyncio.Protocol):
    def __init__(self, server: _Server) -> None:
        self.mails = 0
        self.since = perf_counter()
        self._server = server
        self._got = bytearray()
        self._recipient = b""
        self._in_mail = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)
        self._transport.write(b"220 bench\r\n")

    def connection_lost(self, _: Exception | None) -> None:
        self._server.leave(self)

    def data_received(self, data: bytes) -> None:
        self._got += data
        while self._in_mail is False and _END in self._got:
            line, _, rest = self._got.partition(_END)
            self._got = rest
            self._hear(bytes(line))
        if self._in_mail and (self._got.endswith(_DOT) or self._got == b".\r\n"):
            self._got = bytearray()
            self._in_mail = False
            asyncio.get_running_loop().call_later(self._server.delay, self._take)

    def _hear(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"RCPT":
            self._recipient = line
            self._transport.write(b"250 ok\r\n")
        elif line == b"XBEGIN":
            self._server.begin()
            self._transport.write(b"250 ok\r\n")
        elif line.startswith(b"XDELAY "):
            self._server.delay = int(line[7:]) / 1000
            self._transport.write(b"250 ok\r\n")
        elif line == b"XCOUNT":
            self._transport.write(b"250 " + msgspec.json.encode(self._server.counts()) + _END)
        else:
            self._transport.write(_ANSWERS.get(verb, b"502 unknown\r\n"))
        self._in_mail = verb == b"DATA"
        if verb == b"QUIT":
            self._transport.close()

    def _take(self) -> None:
        self.mails += 1
        self._server.take(self._recipient)
        if not self._transport.is_closing():
            self._transport.write(b"250 taken\r\n")


class Postbox:
    """The server as those see it who measure."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def begin(self, milliseconds: int) -> None:
        """Count from nothing; from now on an answer to DATA takes so long."""
        await self._ask("XBEGIN")
        await self.answer_after(milliseconds)

    async def answer_after(self, milliseconds: int) -> None:
        """From now on an answer to DATA takes so long."""
        await self._ask(f"XDELAY {milliseconds}")

    async def counts(self) -> Counts:
        """What was counted since."""
        return msgspec.json.decode(await self._ask("XCOUNT"), type=Counts)

    async def _ask(self, line: str) -> bytes:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            await reader.readline()
            writer.write(line.encode() + _END)
            return (await reader.readline()).removeprefix(b"250 ")
        finally:
            writer.close()
            await writer.wait_closed()


@contextmanager
def serving() -> Iterator[Postbox]:
    """Serve while the body runs, on a free port. Raises `StartError`."""
    port = ports.free_port()
    child = Child([sys.executable, "-m", "bench.smtp", str(port)], output=DEVNULL)
    try:
        wait_until(lambda: not ports.is_free(port), within=10, otherwise=lambda: "no mail server")
        yield Postbox(port)
    finally:
        child.stop()


async def _serve(port: int) -> None:
    shared = _Server()
    listening = await asyncio.get_running_loop().create_server(lambda: _Connection(shared), HOST, port, backlog=1024)
    await listening.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
