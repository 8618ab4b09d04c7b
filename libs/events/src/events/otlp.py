"""Spans over OTLP/HTTP by OpenTelemetry's SDK. Loaded only where there is an endpoint (see `events.tracing`)."""

from collections.abc import Mapping
from threading import Thread
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from events.tracing import FLUSH, Kind, Span, span_id_of, trace_id_of

_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}


class _Fixed(IdGenerator):
    """The ids that a hop was given before it began."""

    def __init__(self) -> None:
        self.trace_id = 0
        self.span_id = 0

    def generate_span_id(self) -> int:
        return self.span_id

    def generate_trace_id(self) -> int:
        return self.trace_id


class Exporter:
    """Sends spans in batches from a thread of its own; what cannot be sent is dropped, and logged by the SDK."""

    def __init__(self, service: str) -> None:
        self._ids = _Fixed()
        # Whether a trace is recorded was decided where it began: what comes here is.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({SERVICE_NAME: service}),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("events")

    def tell(self, span: Span) -> None:
        """Put a span into the next batch, or drop it where too many wait. For the event loop's thread alone."""
        self._ids.trace_id, self._ids.span_id = int(trace_id_of(span.at), 16), int(span_id_of(span.at), 16)
        told = self._tracer.start_span(
            span.name,
            context=_parent(span.within),
            kind=_KINDS[span.kind],
            attributes=span.attributes,
            start_time=span.started,
        )
        if span.error:
            told.set_attribute("error.type", span.error)
            told.set_status(Status(StatusCode.ERROR))
        told.end(span.ended)

    def close(self) -> None:
        """Send what is left, for `FLUSH` seconds at most: the SDK's own end would wait for half a minute."""
        closing = Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        closing.start()
        closing.join(FLUSH)


def _parent(within: str) -> Context:
    """The context of a hop, which another process may have told."""
    if not span_id_of(within):
        return Context()
    outer = SpanContext(
        int(trace_id_of(within), 16), int(span_id_of(within), 16), is_remote=True, trace_flags=TraceFlags(1)
    )
    return set_span_in_context(NonRecordingSpan(outer), Context())
