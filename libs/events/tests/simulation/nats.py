"""What the library sees of NATS: `Broker` and its client, with links that are slow, lose things, die or hang.

The JetStream calls above it are nats-py's own: what is simulated is the wire.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from itertools import count
from types import SimpleNamespace
from typing import Any

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.manager import JetStreamManager

import events.broker
from simulation.loop import PROCESS, Loop
from simulation.network import Network
from simulation.stream import Broker, Headers, Want

AGAIN = 0.25


class Wire:
    """The server with its connections. `lost_publish`, `lost_delivery`, `late_ack`: shares of what goes wrong."""

    def __init__(self, loop: Loop, network: Network, broker: Broker) -> None:
        self.loop = loop
        self.network = network
        self.broker = broker
        self.process = loop.process("nats")
        self.clients: list[Client] = []
        self.is_up = True
        self.is_over = False
        self.lost_publish = 0.0
        self.lost_delivery = 0.0
        self.late_ack = 0.0
        self.numbers = count(1)

    def restart(self, downtime: float, lost_tail: int = 0) -> None:
        """Stop and start again; what was not flushed may be lost, consumers in memory are."""
        self.is_up = False
        for client in list(self.clients):
            client.cut()
        self.broker.restart()
        for stream in self.broker.streams.values():
            stream.lose_tail(lost_tail)
        self.loop.later(downtime, self.process, self._start)

    def _start(self) -> None:
        self.is_up = True


class Client:
    """What nats-py's client is to the library. A hung link takes everything and delivers nothing until it is cut."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.process = PROCESS.get()
        self.is_connected = True
        self.is_hung = False
        self.lost = asyncio.Event()
        self.connected_server_version = SimpleNamespace(major=2, minor=15)
        self._inboxes: dict[str, Callable[[Msg], Coroutine[Any, Any, None]]] = {}
        self._answers: dict[str, asyncio.Future[Msg]] = {}
        self._sent_at = 0.0
        self._told_at = 0.0
        wire.clients.append(self)
        self.process.ends.append(self._leave)

    # What the library calls

    def jetstream(self, timeout: float = 5) -> JetStreamContext:
        return JetStreamContext(self, timeout=timeout)  # type: ignore[arg-type]

    def jsm(self, timeout: float = 5) -> JetStreamManager:
        return JetStreamManager(self, timeout=timeout)  # type: ignore[arg-type]

    def new_inbox(self) -> str:
        return f"_INBOX.{next(self._wire.numbers)}"

    async def subscribe(self, subject: str, cb: Callable[[Msg], Coroutine[Any, Any, None]]) -> "Subscription":
        self._check()
        self._inboxes[subject.removesuffix(".*")] = cb
        return Subscription(self._inboxes, subject.removesuffix(".*"))

    async def flush(self, timeout: float = 10) -> None:
        await self.request("$SYS.PING", timeout=timeout)

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Headers | None = None
    ) -> None:
        self._check()
        self._send(subject, payload, reply, headers or {})

    async def request(self, subject: str, payload: bytes = b"", timeout: float = 0.5) -> Msg:
        self._check()
        inbox = self.new_inbox()
        future = self._answers[inbox] = self._wire.loop.create_future()
        self._send(subject, payload, inbox, {})
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise nats.errors.TimeoutError from None
        finally:
            del self._answers[inbox]

    def _check(self) -> None:
        if not self.is_connected or self._wire.is_over:
            raise nats.errors.ConnectionClosedError

    def _send(self, *message: Any) -> None:
        wire = self._wire
        if self.is_hung or self not in wire.clients:
            return
        self._sent_at = max(self._sent_at, wire.loop.now + wire.network.delay())
        wire.loop.at(self._sent_at, wire.process, self._arrive, *message)

    # The server's side

    def _arrive(self, subject: str, payload: bytes, reply: str, headers: Headers) -> None:
        wire = self._wire
        if self not in wire.clients:
            return
        if subject.startswith("$JS.API.CONSUMER.MSG.NEXT."):
            self._pull(subject, payload, reply)
        elif subject.startswith("$JS.API."):
            self.deliver(reply, "", json.dumps(wire.broker.ask(subject, payload)).encode(), None)
        elif subject.startswith("ev."):
            if wire.network.happens(wire.lost_publish):
                return
            answer = wire.broker.publish(subject, payload, headers)
            if not reply:
                return
            if answer is None:
                self.deliver(reply, "", b"", {"Status": "503"})
            else:
                late = wire.network.delay() * 100 if wire.network.happens(wire.late_ack) else 0.0
                self.deliver(reply, "", json.dumps(answer).encode(), None, late=late)
        else:
            self.deliver(reply, "", b"", None)

    def _pull(self, subject: str, payload: bytes, reply: str) -> None:
        stream, consumer = subject.rsplit(".", 2)[1:]
        request = json.loads(payload)
        wire = self._wire
        want = Want(reply, request["batch"], wire.loop.now + request["expires"] / 1e9, self._deliver_some)
        if not wire.broker.pull(stream, consumer, want):
            self.deliver(reply, "", b"", {"Status": "503"})
            return
        wire.loop.later(request["expires"] / 1e9, wire.process, wire.broker.expire, stream, consumer, want)

    def _deliver_some(self, inbox: str, reply: str, body: bytes, headers: Headers | None, subject: str) -> None:
        """A message of a stream: it can be lost though it counts as delivered."""
        if reply and self._wire.network.happens(self._wire.lost_delivery):
            return
        self.deliver(inbox, reply, body, headers, subject=subject)

    def deliver(
        self, inbox: str, reply: str, body: bytes, headers: Headers | None, *, subject: str = "", late: float = 0.0
    ) -> None:
        """Send to this client, in order; what is `late` is overtaken. A stream's message comes under its `subject`."""
        wire = self._wire
        if self.is_hung or self not in wire.clients:
            return
        at = max(self._told_at, wire.loop.now + wire.network.delay())
        if not late:
            self._told_at = at
        message = Msg(self, subject or inbox, reply, body, headers)  # type: ignore[arg-type]
        wire.loop.at(at + late, self.process, self._hear, inbox, message)

    def _hear(self, inbox: str, message: Msg) -> None:
        if not self.is_connected:
            return
        future = self._answers.get(inbox)
        if future is not None:
            if not future.done():
                future.set_result(message)
            return
        callback = self._inboxes.get(inbox) or self._inboxes.get(inbox.rpartition(".")[0])
        if callback is not None:
            try:
                callback(message).send(None)
            except StopIteration:
                return
            raise AssertionError("a callback that waits is not simulated")

    # What happens to it

    def cut(self) -> None:
        """The connection ends: nothing that is on its way arrives."""
        self._leave()
        self._wire.loop.later(self._wire.network.delay(), self.process, self._break)

    def hang(self, for_seconds: float) -> None:
        """The link takes everything and delivers nothing; the watchdog cuts it in the end."""
        self.is_hung = True
        self._wire.loop.later(for_seconds, self._wire.process, self.cut)

    def _leave(self) -> None:
        if self in self._wire.clients:
            self._wire.clients.remove(self)

    def _break(self) -> None:
        self.is_connected = False
        self.lost.set()


class Subscription:
    """What nats-py's subscription is to the library."""

    def __init__(self, inboxes: dict[str, Any], subject: str) -> None:
        self._inboxes = inboxes
        self._subject = subject

    async def unsubscribe(self) -> None:
        self._inboxes.pop(self._subject, None)


class Link(events.broker.Broker):
    """The library's own, found again by itself; only what it connects to is simulated."""

    def __init__(self, wire: Wire) -> None:
        super().__init__("nats://simulated", name="simulated")
        self._wire = wire

    async def run(self) -> None:
        """Connect, wait until that is lost, connect again."""
        while True:
            await asyncio.sleep(self._wire.network.delay())
            if self._wire.is_up and not self._wire.is_over:
                self._client = Client(self._wire)
                self._arrived.set()
                await self._client.lost.wait()
                await self._on_closed()
            await asyncio.sleep(AGAIN)
