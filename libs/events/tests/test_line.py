"""The short ways of the client end where nats-py's own do: the same bytes go out, the same messages come in."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from events.line import Line
from events.pull import PullBroken, place_of


class Wireless:
    """What would be sent; nothing is connected."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.sent: list[bytes] = []
        client._status = Client.CONNECTED
        client._max_payload = 1 << 20
        client._send_command = self._send
        client._flush_pending = self._flush

    async def _send(self, command: bytes, priority: bool = False) -> None:
        self.sent.append(bytes(command))

    async def _flush(self, force_flush: bool = False) -> None:
        pass


HEADERS = [
    {"ce-id": "1", "ce-type": "todos.TodoCreated.v1"},
    {"one": "값"},
    {"one": "a\r\nce-id: 2"},
    {"one": "a\rb"},
    {"one": "a\nb"},
    {"one": "a: b"},
    {},
    None,
]


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("reply", ["", "_INBOX.1"])
async def test_what_goes_out_is_what_nats_py_sends(headers: dict[str, str] | None, reply: str) -> None:
    ours, theirs = Wireless(Line()), Wireless(Client())
    for each in (ours, theirs):
        await each.client.publish("ev.todos.1.A", b"{}", reply=reply, headers=headers)
    assert ours.sent == theirs.sent


@pytest.mark.parametrize(
    ("subject", "reply"),
    [("ev. todos", ""), ("ev.todos", "in\r\nbox"), ("ev.todos ", ""), ("\tev", ""), ("", ""), ("", "inbox")],
)
async def test_what_is_no_subject_is_refused(subject: str, reply: str) -> None:
    for each in (Wireless(Line()), Wireless(Client())):
        with pytest.raises(Exception, match="nats: "):
            await each.client.publish(subject, b"{}", reply=reply, headers={"a": "b"})
        assert each.sent == []


PLAIN = b"NATS/1.0\r\nce-id: 1\r\nce-time: 2026-11-23T09:30:00Z\r\n\r\n"
ODD = b"NATS/1.0\r\nce-id:1\r\n\r\n"
KOREAN = "NATS/1.0\r\nname: 값\r\n\r\n".encode()
STATUS = b"NATS/1.0 404 No Messages\r\n\r\n"
REPLY = b"$JS.ACK.TODOS.activity-1.1.7.7.1764399999000000000.3"


def hmsg(head: bytes, body: bytes, reply: bytes = b"") -> bytes:
    line = b" ".join([b"HMSG ev.todos.1.A 1", *([reply] if reply else []), b"%d %d" % (len(head), len(head + body))])
    return line + b"\r\n" + head + body + b"\r\n"


CAME = b"".join(
    [
        hmsg(PLAIN, b"{}", REPLY),
        b"MSG _INBOX.1 1 4\r\n\r\n\r\n\r\n",
        b"MSG _INBOX.1 1 $JS.ACK.1 2\r\n{}\r\n",
        b"PING\r\n",
        hmsg(STATUS, b""),
        hmsg(ODD, b"{}"),
        hmsg(KOREAN, b"{}"),
        b"MSG nobody 9 2\r\n{}\r\n",
        hmsg(PLAIN, b""),
        b"+OK\r\n",
        hmsg(PLAIN, b"x" * 300),
    ]
)


async def heard(client: Client, parts: Iterator[bytes]) -> list[tuple[object, ...]]:
    """The messages that a client makes of what comes in these parts."""
    wireless = Wireless(client)
    subscription = client._subs[1] = Subscription(client, 1, "ev.>")
    for part in parts:
        await client._ps.parse(part)
    found = []
    while not subscription._pending_queue.empty():
        message: Msg = subscription._pending_queue.get_nowait()
        found.append((message.subject, message.reply, message.data, message.headers))
    assert subscription._received == len(found)
    assert subscription._pending_size == sum(len(data) for _, _, data, _ in found)
    assert wireless.sent == [b"PONG\r\n"]
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 101, len(CAME)])
async def test_what_comes_in_is_what_nats_py_makes_of_it_however_it_is_cut(size: int) -> None:
    cuts = [*range(0, len(CAME), size), len(CAME)]
    ours, theirs = [
        await heard(client, (CAME[start:end] for start, end in pairwise(cuts))) for client in (Line(), Client())
    ]
    assert ours == theirs
    assert len(ours) == 8


async def test_a_queue_that_is_full_is_nats_pys_to_tell() -> None:
    told = []

    async def tell(error: Exception) -> None:
        told.append(type(error).__name__)

    for client in (Line(), Client()):
        client._error_cb = tell
        client._subs[1] = Subscription(client, 1, "ev.>", pending_msgs_limit=2)
        await client._ps.parse(hmsg(PLAIN, b"{}") * 3)
    assert told == ["SlowConsumerError"] * 2


@pytest.mark.parametrize(
    "reply", [REPLY.decode(), "$JS.ACK._.hash.TODOS.activity-1.1.7.7.1764399999000000000.3.random"]
)
def test_a_message_says_where_it_is_in_its_stream(reply: str) -> None:
    message = Msg(Client(), "ev.todos.1.A", reply)
    number, at = place_of(message)
    assert number == message.metadata.sequence.stream == 7
    assert at == message.metadata.timestamp


def test_a_message_that_no_stream_has_sent_has_no_place() -> None:
    with pytest.raises(PullBroken):
        place_of(Msg(Client(), "ev.todos.1.A"))
