"""JetStream in memory: streams of numbered messages, consumers that pull, and the JSON API as nats-server speaks it."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

Headers: TypeAlias = dict[str, str]
Answer: TypeAlias = dict[str, Any]
Deliver: TypeAlias = Callable[[str, str, bytes, Headers | None, str], None]
"""Sends to an inbox: its subject, the reply's subject, the body, the headers, and the message's own subject."""

WRONG_LAST = 10071
FULL = 10077
CREATED = "2026-11-28T00:00:00Z"


class Stored:
    """A message of a stream."""

    __slots__ = ("body", "headers", "subject", "time")

    def __init__(self, subject: str, body: bytes, headers: Headers, time: float) -> None:
        self.subject = subject
        self.body = body
        self.headers = headers
        self.time = time


class Pulling:
    """A server-side consumer: where it is, and who asked it for more."""

    def __init__(self, name: str, start: int) -> None:
        self.name = name
        self.next = start
        self.delivered = 0
        self.stream_seq = start - 1
        self.wants: list[Want] = []


class Want:
    """One request for messages: so many, until then, to this inbox."""

    def __init__(self, inbox: str, batch: int, until: float, deliver: Deliver) -> None:
        self.inbox = inbox
        self.batch = batch
        self.until = until
        self.deliver = deliver


class Stream:
    """One stream; its messages by number."""

    def __init__(self, config: Answer) -> None:
        self.config = config
        self.first = max(config.get("first_seq") or 1, 1)
        self.last = self.first - 1
        self.messages: dict[int, Stored] = {}
        self.consumers: dict[str, Pulling] = {}
        self.is_full = False

    def state(self, *, details: bool = False) -> Answer:
        """As `STREAM.INFO` tells it."""
        present = len(self.messages)
        first = min(self.messages) if present else self.last + (self.last > 0)
        state = {"messages": present, "bytes": 0, "first_seq": first, "last_seq": self.last}
        state["consumer_count"] = len(self.consumers)
        gone = self.last - first + 1 - present  # of a stream that never had a message the server says 0, and [0]
        if gone:
            state["num_deleted"] = gone
            if details:
                state["deleted"] = [seq for seq in range(first, self.last + 1) if seq not in self.messages]  # type: ignore[assignment]
        return state

    def lose_tail(self, count: int) -> None:
        """What was not flushed is gone; the stream goes on from there."""
        for seq in range(max(self.first, self.last - count + 1), self.last + 1):
            self.messages.pop(seq, None)
        self.last = max(self.first - 1, self.last - count)


class Broker:
    """The server: streams, and what its API answers. `on_store` is told of each message that a stream took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.streams: dict[str, Stream] = {}
        self.on_store: Callable[[str, int, Stored], None] = lambda *_: None
        self._clock = clock

    def restart(self) -> None:
        """Consumers in memory are gone, and so is whoever waited."""
        for stream in self.streams.values():
            stream.consumers.clear()

    def publish(self, subject: str, body: bytes, headers: Headers) -> Answer | None:
        """Store a message; the acknowledgement, or None where no stream listens."""
        name = next((name for name, each in self.streams.items() if _takes(each, subject)), None)
        if name is None:
            return None
        stream = self.streams[name]
        expected = headers.get("Nats-Expected-Last-Sequence")
        if expected is not None and int(expected) != stream.last:
            return _refusal(name, 400, WRONG_LAST, f"wrong last sequence: {stream.last}")
        if stream.is_full:
            return _refusal(name, 503, FULL, "maximum bytes exceeded")
        stream.last += 1
        stored = Stored(subject, body, headers, self._clock())
        stream.messages[stream.last] = stored
        self.on_store(name, stream.last, stored)
        for consumer in list(stream.consumers.values()):
            self._serve(name, stream, consumer)
        return {"stream": name, "seq": stream.last}

    def ask(self, subject: str, body: bytes) -> Answer:
        """A request of the JSON API below `$JS.API.`."""
        verb, _, rest = subject.removeprefix("$JS.API.").partition(".")
        what, _, rest = rest.partition(".")
        if what == "MSG":
            what, _, rest = rest.partition(".")
        name, _, consumer = rest.partition(".")
        request = json.loads(body) if body else {}
        return _API[verb, what](self, name, consumer, request)

    def pull(self, stream: str, consumer: str, want: Want) -> bool:
        """A request for messages; False where there is no such consumer to hear it."""
        known = self.streams.get(stream)
        if known is None or consumer not in known.consumers:
            return False
        known.consumers[consumer].wants.append(want)
        self._serve(stream, known, known.consumers[consumer])
        return True

    def expire(self, stream: str, consumer: str, want: Want) -> None:
        """The request's time is over."""
        known = self.streams.get(stream)
        pulling = known.consumers.get(consumer) if known is not None else None
        if pulling is not None and want in pulling.wants:
            pulling.wants.remove(want)
            want.deliver(want.inbox, "", b"", {"Status": "408", "Description": "Request Timeout"}, "")

    def _serve(self, name: str, stream: Stream, consumer: Pulling) -> None:
        while consumer.wants and consumer.next <= stream.last:
            message = stream.messages.get(consumer.next)
            if message is None:
                consumer.next += 1
                continue
            want = consumer.wants[0]
            consumer.delivered += 1
            consumer.stream_seq = consumer.next
            numbers = f"{consumer.next}.{consumer.delivered}.{int(message.time * 1e9)}.{stream.last - consumer.next}"
            reply = f"$JS.ACK.{name}.{consumer.name}.1.{numbers}"
            want.deliver(want.inbox, reply, message.body, message.headers, message.subject)
            consumer.next += 1
            want.batch -= 1
            if want.batch == 0:
                consumer.wants.pop(0)

    # The API

    def _stream_info(self, name: str, _: str, request: Answer) -> Answer:
        stream = self.streams.get(name)
        if stream is None:
            return _NO_STREAM
        state = stream.state(details=bool(request.get("deleted_details")))
        return {"config": stream.config, "state": state, "created": CREATED}

    def _stream_create(self, name: str, _: str, request: Answer) -> Answer:
        if name in self.streams:
            return _error(400, 10058, "stream name already in use with a different configuration")
        self.streams[name] = Stream(request)
        return self._stream_info(name, "", {})

    def _stream_update(self, name: str, _: str, request: Answer) -> Answer:
        if name in self.streams:
            self.streams[name].config = request
        return self._stream_info(name, "", {})

    def _stream_delete(self, name: str, _: str, __: Answer) -> Answer:
        stream = self.streams.pop(name, None)
        if stream is None:
            return _NO_STREAM
        for consumer in stream.consumers.values():
            _dismiss(consumer)
        return {"success": True}

    def _message(self, name: str, _: str, request: Answer) -> Answer:
        stream = self.streams.get(name)
        if stream is None:
            return _NO_STREAM
        message = stream.messages.get(request["seq"])
        if message is None:
            return _error(404, 10037, "no message found")
        lines = "".join(f"{key}: {value}\r\n" for key, value in message.headers.items())
        moment = datetime.fromtimestamp(message.time, UTC).isoformat().replace("+00:00", "Z")
        told = {"subject": message.subject, "seq": request["seq"], "data": _b64(message.body), "time": moment}
        return {"message": told | ({"hdrs": _b64(f"NATS/1.0\r\n{lines}\r\n".encode())} if lines else {})}

    def _consumer_create(self, name: str, consumer: str, request: Answer) -> Answer:
        stream = self.streams.get(name)
        if stream is None:
            return _NO_STREAM
        start = max(request["config"]["opt_start_seq"], stream.state()["first_seq"])
        stream.consumers[consumer] = Pulling(consumer, start)
        return self._consumer_info(name, consumer, {})

    def _consumer_info(self, name: str, consumer: str, _: Answer) -> Answer:
        known = self.streams.get(name)
        pulling = known.consumers.get(consumer) if known is not None else None
        if pulling is None:
            return _NO_STREAM if known is None else _NO_CONSUMER
        place = {"consumer_seq": pulling.delivered, "stream_seq": pulling.stream_seq}
        return {
            "stream_name": name,
            "name": consumer,
            "config": {"ack_policy": "none", "deliver_policy": "by_start_sequence"},
            "created": CREATED,
            "delivered": place,
        }

    def _consumer_delete(self, name: str, consumer: str, _: Answer) -> Answer:
        stream = self.streams.get(name)
        pulling = stream.consumers.pop(consumer, None) if stream is not None else None
        if pulling is None:
            return _NO_STREAM if stream is None else _NO_CONSUMER
        _dismiss(pulling)
        return {"success": True}


_API: dict[tuple[str, str], Callable[[Broker, str, str, Answer], Answer]] = {
    ("STREAM", "INFO"): Broker._stream_info,
    ("STREAM", "CREATE"): Broker._stream_create,
    ("STREAM", "UPDATE"): Broker._stream_update,
    ("STREAM", "DELETE"): Broker._stream_delete,
    ("STREAM", "GET"): Broker._message,
    ("CONSUMER", "CREATE"): Broker._consumer_create,
    ("CONSUMER", "INFO"): Broker._consumer_info,
    ("CONSUMER", "DELETE"): Broker._consumer_delete,
}


def _takes(stream: Stream, subject: str) -> bool:
    return any(subject.startswith(each.removesuffix(">")) for each in stream.config["subjects"])


def _dismiss(consumer: Pulling) -> None:
    for want in consumer.wants:
        want.deliver(want.inbox, "", b"", {"Status": "409", "Description": "Consumer Deleted"}, "")


def _error(code: int, err_code: int, description: str) -> Answer:
    return {"error": {"code": code, "err_code": err_code, "description": description}}


def _refusal(name: str, code: int, err_code: int, description: str) -> Answer:
    return _error(code, err_code, description) | {"stream": name, "seq": 0}


_NO_STREAM = _error(404, 10059, "stream not found")
_NO_CONSUMER = _error(404, 10014, "consumer not found")


def _b64(data: bytes) -> str:
    return b64encode(data).decode()
