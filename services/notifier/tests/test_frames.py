"""Whatever bytes come over a live connection: it ends in a word that is known, and nobody else notices."""

import asyncio
import json
import logging
import struct
from collections.abc import Callable
from random import Random
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from notifying import World

from local.fixtures import until
from notifier.sockets import CONNECTIONS

UPGRADE = """GET {path} HTTP/1.1\r
Host: {host}\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
Sec-WebSocket-Version: 13\r
\r
"""
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
# RFC 6455, section 7.4.1, and services/notifier/README.md; 1011 is what a server says of itself when it fell over.
KNOWN = {1000, 1001, 1002, 1003, 1007, 1009, 4400, 4403}
WORDS = ("authenticate", "sing", "", None, 7, [], {})
ANYTHING = (None, True, -1, 1e300, "", "é\x00\ud7ff", "a.b.c", "x" * 3000, [], {}, {"type": {}})


def frame(opcode: int, payload: bytes, *, first: int = 0x80, masked: bool = True, claimed: int | None = None) -> bytes:
    """A client's frame (RFC 6455, section 5.2); `first` holds its flags, `claimed` is the length that it tells."""
    length, mask = len(payload) if claimed is None else claimed, 0x80 * masked
    if length < 126:
        head = struct.pack("!BB", first | opcode, mask | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first | opcode, mask | 126, length)
    else:
        head = struct.pack("!BBQ", first | opcode, mask | 127, length)
    return head + (b"\0\0\0\0" if masked else b"") + payload  # masked with zeros it is what it was


def token_of(dice: Random) -> bytes:
    return json.dumps({"type": dice.choice(WORDS), "access_token": dice.choice(ANYTHING)}).encode()


KINDS: tuple[Callable[[Random], bytes], ...] = (
    lambda dice: dice.randbytes(dice.randint(1, 300)),
    lambda dice: frame(dice.randrange(16), dice.randbytes(dice.randint(0, 200)), first=dice.randrange(16) << 4),
    lambda dice: frame(dice.choice((TEXT, BINARY)), token_of(dice)),
    lambda dice: frame(TEXT, token_of(dice)[: dice.randint(1, 30)]),
    lambda dice: frame(PING, dice.randbytes(dice.randint(0, 125))) * dice.randint(1, 200),
    lambda dice: frame(CLOSE, struct.pack("!H", dice.randrange(1 << 16)) + dice.randbytes(dice.randint(0, 60))),
    lambda dice: frame(TEXT, b"x" * dice.randint(0, 99), claimed=dice.choice((1 << 14, 1 << 31, (1 << 63) - 1))),
    lambda dice: frame(TEXT, b'"', first=0) + frame(0, b"[" * 400, first=0) * dice.randint(2, 60),
)


def said(dice: Random) -> list[bytes]:
    """Some frames; the last one takes leave, or says what nobody understands."""
    last = frame(CLOSE, struct.pack("!H", 1000)) if dice.random() < 0.5 else frame(TEXT, b"{}")
    return [*(dice.choice(KINDS)(dice) for _ in range(dice.randint(1, 4))), last]


async def end_of(world: World, sent: list[bytes]) -> int | None:
    """Say this over a new connection, and no more; the code in the close frame that comes, if one does."""
    address = urlsplit(await world.address(uuid4()))
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(UPGRADE.format(path=f"{address.path}?{address.query}", host=address.netloc).encode())
        assert b" 101 " in await reader.readline()
        await reader.readuntil(b'"hello"')
        writer.write(b"".join(sent))
        writer.write_eof()
        async with asyncio.timeout(20):
            heard = await reader.read()
    except ConnectionError:  # it left what came after its own end unread
        return None
    finally:
        writer.transport.abort()
    return code_in(heard[heard.index(b"}") + 1 :])


def code_in(heard: bytes) -> int | None:
    """The code of the close frame among a server's frames, which are short."""
    while len(heard) >= 4:
        length = heard[1]
        assert length < 126, heard[:20]
        if heard[0] & 0x0F == CLOSE:
            return int(struct.unpack("!H", heard[2:4])[0])
        heard = heard[2 + length :]
    return None


async def test_whatever_a_client_sends_its_socket_ends_and_nobody_else_notices(
    world: World, full: bool, caplog: pytest.LogCaptureFixture
) -> None:
    me, ends = uuid4(), set[int | None]()
    async with world.socket(me) as bystander:
        for nr in range(600 if full else 60):
            ends.add(await end_of(world, said(Random(nr))))
            assert ends <= KNOWN | {None}, (nr, ends)
        await world.told(me, 1)
        assert await bystander.numbers(1) == [1]
        await until(lambda: CONNECTIONS.labels("ws")._value.get() == 1)
    assert {1002, 1007, 4400} <= ends
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
