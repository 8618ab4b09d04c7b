"""nats-py's client with its long ways cut short, for who publishes or hears many messages with headers.

What is not plain (a status, half a message, a future that waits) goes nats-py's own way, which does the same: it looks
at each header with two regular expressions when it is sent, and takes a message from the buffer in three steps.
"""

from typing import Any, Final

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

_HEAD: Final = "NATS/1.0\r\n"
_LINE: Final = "\r\n"
_END: Final = b"\r\n"


class Line(Client):
    """nats-py's client, in all that can be seen of it."""

    def __init__(self) -> None:
        super().__init__()
        self._ps = _Parser(self)

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, Any] | None = None
    ) -> None:
        """Publish; raises what nats-py raises."""
        head = _head(headers) if headers and self.is_connected and len(payload) <= self.max_payload else None
        if head is None or not subject or len(f".{subject}.{reply}.".split()) != 1:
            await super().publish(subject, payload, reply, headers)
            return
        line = f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}\r\n"
        command = b"".join((line.encode(), head, payload, _END))
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += len(payload)
        await self._send_command(command)
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        found = _fields(headers) if headers else None
        return found or await super()._process_headers(headers)

    def hand_over(self, sid: int, subject: bytes, reply: bytes, head: bytes, payload: bytes) -> bool:
        """Give a message to who waits for it at once, where that is plain; False where it is nats-py's to do."""
        subscription: Subscription | None = self._subs.get(sid)
        headers = _fields(head) if head else None
        if subscription is None or not _is_plain(subscription, len(payload)) or (head and headers is None):
            return False
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(payload)
        subscription._received += 1  # noqa: SLF001 - as nats-py's own `_process_msg` does
        subscription._pending_size += len(payload)  # noqa: SLF001 - as above
        subscription._pending_queue.put_nowait(self._build_message(sid, subject, reply, payload, headers))  # noqa: SLF001
        return True


class _Parser(Parser):
    """Takes whole messages from what came, one after another; leaves the rest to nats-py's."""

    async def parse(self, data: bytes = b"") -> None:
        if self.state == AWAITING_CONTROL_LINE:
            self.buf.extend(data)
            taken, is_all = self._take(bytes(self.buf))
            del self.buf[:taken]
            if is_all:
                return
            data = b""
        await super().parse(data)

    def _take(self, got: bytes) -> tuple[int, bool]:
        """How many bytes are done with, and whether what is left is only the beginning of a message."""
        at = 0
        while (end := got.find(_END, at)) >= 0:
            kind, *fields = got[at:end].split(b" ")
            if (kind, len(fields)) not in _MESSAGES:
                return at, False
            start, size = end + 2, int(fields[-1])
            body = start + int(fields[-2]) if kind == b"HMSG" else start
            if len(got) < start + size + 2:
                return at, True
            reply = fields[2] if (kind, len(fields)) in _ANSWERED else b""
            if not self.nc.hand_over(int(fields[1]), fields[0], reply, got[start:body], got[body : start + size]):
                return at, False
            at = start + size + 2
        return at, at == len(got)


_ANSWERED: Final = {(b"MSG", 4), (b"HMSG", 5)}
_MESSAGES: Final = _ANSWERED | {(b"MSG", 3), (b"HMSG", 4)}


def _is_plain(subscription: Subscription, size: int) -> bool:
    """Whether a message is only to be put into a queue that has room."""
    each = subscription
    if each._jsi or each._future or each._max_msgs or each._pending_queue.full():  # noqa: SLF001 - no public names
        return False
    return not 0 < each._pending_bytes_limit <= each._pending_size + size  # noqa: SLF001 - as above


def _head(headers: dict[str, Any]) -> bytes | None:
    """Headers as they are sent; None where a value has a line of its own, or is no text."""
    try:
        head = f"{_HEAD}{_LINE.join(map(': '.join, headers.items()))}{_LINE}{_LINE}"
    except TypeError:
        return None
    lines = len(headers) + 2
    return head.encode() if head.count("\n") == lines and head.count("\r") == lines else None


def _fields(head: bytes) -> dict[str, str] | None:
    """Headers that came; None for a status, or for what is written otherwise than servers and relays write."""
    try:
        text = head.decode("ascii")
        if not text.startswith(_HEAD):
            return None
        return dict([line.split(": ", 1) for line in text[len(_HEAD) : -4].split("\r\n")])
    except ValueError:
        return None
