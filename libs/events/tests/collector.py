"""A collector of OTLP over HTTP for tests: keeps what services export, raw and read; and a recorder without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from events import tracing
from events.tracing import Sampler, Span

EVERYTHING = Sampler(share=1.0)


@dataclass(frozen=True)
class Told:
    """A span as it was exported; ids in hexadecimal digits, `parent` empty where it began its trace."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    is_error: bool
    took: int
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What was exported to `url` so far; requests are not answered while `hangs`."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    spans: list[Told] = field(default_factory=list)
    hangs: Event = field(default_factory=Event)

    def named(self, name: str) -> list[Told]:
        return [span for span in self.spans if span.name == name]

    def of(self, trace: str) -> list[Told]:
        return [span for span in self.spans if span.trace == trace]

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_told(about["service.name"], span) for span in scope.spans]


def _told(service: str, span: trace_pb2.Span) -> Told:
    return Told(
        service=service,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        is_error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        took=span.end_time_unix_nano - span.start_time_unix_nano,
        attributes={each.key: each.value.string_value or each.value.int_value for each in span.attributes},
    )


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """A collector on a port of loopback (0: a free one)."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            while collector.hangs.is_set() and not ending.wait(0.02):
                pass
            if self.path == "/v1/traces":
                collector.take(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    ending = Event()
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        ending.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Kept:
    """A recorder that keeps spans, in the order in which they ended."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def tell(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        pass

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@contextmanager
def kept(sampler: Sampler = EVERYTHING) -> Iterator[Kept]:
    """Everything that is recorded meanwhile."""
    recorder = Kept()
    tracing.use(recorder, sampler)
    try:
        yield recorder
    finally:
        tracing.use(None, Sampler())
