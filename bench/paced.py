"""Load by the clock, in a process of its own: a request leaves when it is due, whatever became of the earlier ones.

Over a bounded number of kept lines: where all wait for answers a request leaves late, and its time still counts from
when it was due (no coordinated omission). Times are those of the machine's monotonic clock, the same in all processes.
"""

import asyncio
import gc
import sys
from collections import deque
from time import perf_counter, process_time
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.counts import Unsound
from bench.generators import answered

CONNECTIONS: Final = 32
"""Lines of a closed loop."""
_LINES: Final = 256
_TICK: Final = 0.001
_OVERTIME: Final = 60.0
_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_POSITION: Final = b"x-event-position: todos:"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, by turns, how many a second and for how long; a rate of 0 is a closed loop of `CONNECTIONS`.

    Each `every`-th request (0: none) is the next of `once` instead.
    """

    url: str
    rate: float
    seconds: float
    requests: list[bytes]
    once: list[bytes] = []
    every: int = 0

    def request(self, nr: int) -> bytes:
        """What leaves as the nr-th."""
        if self.every and not nr % self.every:
            return self.once[nr // self.every]
        return self.requests[nr % len(self.requests)]


class Told(msgspec.Struct, frozen=True, array_like=True):
    """One answered request: its number, when it was due, left and was answered; the number of its event."""

    nr: int
    due: float
    left: float
    answered: float
    seq: int


class Done(msgspec.Struct, frozen=True):
    """A run: what was answered, how many of these were refused, how long it took, which share of a core that cost."""

    told: list[Told]
    refused: int
    seconds: float
    cost: float


class Line(asyncio.Protocol):
    """A kept connection. Reading an answer costs as little as finding its length and its position."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._got = b""
        self._under_way = (0, 0.0, 0.0)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's hook."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is none by class

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio's hook."""
        self._load.lost(error)

    def send(self, nr: int, request: bytes, due: float) -> None:
        """Send the nr-th request."""
        assert self._transport is not None
        self._under_way = (nr, due, perf_counter())
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """asyncio's hook."""
        got = self._got + data if self._got else data
        head, end, body = got.partition(_END)
        fields = head.lower()
        if not end or len(body) < int(_after(fields, _LENGTH) or 0):
            self._got = got
            return
        self._got = b""
        seq = int(_after(fields, _POSITION) or 0) if head.startswith(b"HTTP/1.1 2") else 0
        self._load.heard(self, Told(*self._under_way, perf_counter(), seq))

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.close()


def _after(fields: bytes, name: bytes) -> bytes:
    _, _, rest = fields.partition(name)
    return rest.partition(b"\r\n")[0]


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lines: list[Line] = []
        self._idle: deque[Line] = deque()
        self._told: list[Told] = []
        self._sent = 0
        self._started = 0.0
        self._sends = True
        self._rest = asyncio.Event()
        self._trouble = ""

    async def run(self) -> Done:
        """Send until the time is over, and wait for the last answer; raises `Unsound` where a line breaks."""
        await self._open()
        self._started, began = perf_counter(), process_time()
        async with asyncio.timeout(self._plan.seconds + _OVERTIME):
            await (self._pace() if self._plan.rate else self._chase())
            self._sends = False
            self._look_at_rest()
            await self._rest.wait()
        seconds = perf_counter() - self._started
        if self._trouble:
            raise Unsound(self._trouble)
        for line in self._lines:
            line.close()
        refused = sum(not told.seq for told in self._told)
        return Done(self._told, refused, seconds, (process_time() - began) / seconds)

    async def _open(self) -> None:
        parts, rate = urlsplit(self._plan.url), self._plan.rate
        loop = asyncio.get_running_loop()
        # No more than are used each half second: a server ends what is idle for seconds.
        for _ in range(min(_LINES, 16 + int(rate / 4)) if rate else CONNECTIONS):
            _, line = await loop.create_connection(lambda: Line(self), parts.hostname or "", parts.port or 80)
            self._lines.append(line)
        self._idle.extend(self._lines)

    async def _pace(self) -> None:
        total = int(self._plan.rate * self._plan.seconds)
        while self._sent < total and not self._trouble:
            due = min(total, int((perf_counter() - self._started) * self._plan.rate) + 1)
            while self._idle and self._sent < due:
                self._send(self._idle.popleft(), self._started + self._sent / self._plan.rate)
            await asyncio.sleep(_TICK)

    async def _chase(self) -> None:
        for line in self._lines:
            self._send(line, perf_counter())
        await asyncio.sleep(self._plan.seconds)

    def _send(self, line: Line, due: float) -> None:
        line.send(self._sent, self._plan.request(self._sent), due)
        self._sent += 1

    def heard(self, line: Line, told: Told) -> None:
        """A line has its answer."""
        self._told.append(told)
        if self._plan.rate:
            self._idle.append(line)
        elif self._sends:
            self._send(line, told.answered)
        self._look_at_rest()

    def lost(self, error: Exception | None) -> None:
        """A line is gone; nothing that follows would mean anything."""
        if not self._rest.is_set():
            self._trouble = f"a connection broke: {type(error).__name__ if error else 'the server closed it'}"
            self._rest.set()

    def _look_at_rest(self) -> None:
        if not self._sends and len(self._told) == self._sent:
            self._rest.set()


async def paced(plan: Plan) -> Done:
    """Carry out a plan in a process of its own; raises `Unsound` where an answer was no success."""
    command = [sys.executable, "-m", "bench.paced"]
    output = await answered(command, msgspec.msgpack.encode(plan), plan.seconds + 2 * _OVERTIME)
    done = msgspec.msgpack.decode(output, type=Done)
    if done.refused or not done.told:
        raise Unsound(f"{done.refused} of {len(done.told)} requests were refused")
    return done


def main() -> None:
    """Read a plan from stdin, write what was done to stdout."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.msgpack.encode(runner.run(Load(plan).run())))


if __name__ == "__main__":
    main()
