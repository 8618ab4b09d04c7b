"""Traces: each hop of a request, an event, a letter is told as a span of OpenTelemetry, once it is over.

A hop is named by a traceparent (W3C Trace Context) that is fixed before it begins: what follows from it carries that
on, through the log, the stream and the work tables. Whether a trace is recorded is decided where it begins and stands
in the last digit. Without an endpoint nothing is told and no SDK is loaded. See docs/adr/0026.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from time import time_ns
from typing import Annotated, Final, Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec
import structlog

from events.settings import read

FLUSH: Final = 2.0
"""Seconds in which the last spans may be sent while the process ends: less than draining takes."""

OLD: Final = 24 * 3600 * 1e9
"""Nanoseconds after which an event's trace is over, whatever still becomes of it."""

Kind: TypeAlias = Literal["server", "producer", "consumer", "client", "internal"]
Attributes: TypeAlias = dict[str, str | int]
Url: TypeAlias = Annotated[str, msgspec.Meta(pattern="^https?://[^@]+$")]
"""Without a password: the SDK logs what it cannot reach."""

_TRACEPARENT: Final = re.compile("00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED: Final = frozenset("13579bdf")
_PARENT_BASED: Final = "parentbased_"

log = structlog.get_logger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What OpenTelemetry's standard variables say; all others (headers, time-outs, certificates) its SDK reads itself.

    Off without an endpoint. `otel_service_name` is the service's own name where it is empty.
    """

    otel_exporter_otlp_endpoint: Url = ""
    otel_exporter_otlp_traces_endpoint: Url = ""
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    otel_traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = "parentbased_traceidratio"
    otel_traces_sampler_arg: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    otel_sdk_disabled: bool = False
    otel_service_name: str = ""

    @property
    def is_on(self) -> bool:
        """Whether spans are told to somebody."""
        return bool(self.otel_exporter_otlp_endpoint or self.otel_exporter_otlp_traces_endpoint) and not (
            self.otel_sdk_disabled
        )


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A hop that is over. `at` is its own traceparent, `within` that of what it is a part of (empty: it began a trace).

    Times are in nanoseconds since the epoch; `error` names what went wrong, empty where nothing did.
    """

    name: str
    kind: Kind
    at: str
    within: str
    started: int
    ended: int
    error: str
    attributes: Attributes


class Recorder(Protocol):
    """Where spans are told to."""

    def tell(self, span: Span) -> None:
        """Take a span; neither waits nor raises."""

    def close(self) -> None:
        """Send what is left, for `FLUSH` seconds at most."""


class Sampler(msgspec.Struct, frozen=True):
    """Whether a trace is recorded: as its caller says where it `follows` one, else by its id, `share` of all."""

    follows: bool = True
    share: float = 0.0

    def records(self, trace_id: str, flags: str) -> bool:
        """The decision for a trace; `flags` is empty where it begins here."""
        if self.follows and flags:
            return flags[-1] in _SAMPLED
        return int(trace_id[16:], 16) < self.share * 2**64


_recorder: Recorder | None = None
_sampler = Sampler()


def sampler_of(settings: Settings) -> Sampler:
    """The sampler that the variables name."""
    name = settings.otel_traces_sampler
    shares = {"always_on": 1.0, "always_off": 0.0, "traceidratio": settings.otel_traces_sampler_arg}
    return Sampler(name.startswith(_PARENT_BASED), shares[name.removeprefix(_PARENT_BASED)])


def configure_tracing(service: str) -> None:
    """Tell spans to the endpoint that the environment names, if it names one; raises `BadSettings`."""
    settings = read(Settings)
    if settings.is_on:
        from events.otlp import Exporter  # noqa: PLC0415 - 0.3 s and a thread that nobody pays for without an endpoint

        use(Exporter(settings.otel_service_name or service), sampler_of(settings))


def use(recorder: Recorder | None, sampler: Sampler) -> None:
    """Tell spans to `recorder` from now on; None: to nobody."""
    global _recorder, _sampler
    _recorder, _sampler = recorder, sampler


def stop_tracing() -> None:
    """Send what was told and not sent yet, for `FLUSH` seconds at most."""
    if _recorder is not None:
        _recorder.close()
        use(None, Sampler())


def enter(incoming: str = "") -> str:
    """The traceparent of a request within its caller's trace, or in a new one where `incoming` is none.

    Where nothing is recorded, a caller's is passed on as it is.
    """
    found = _TRACEPARENT.fullmatch(incoming)
    if _recorder is None and found:
        return incoming
    drawn = secrets.token_hex(24)
    trace_id, flags = (found[1], found[3]) if found else (drawn[16:], "")
    is_recorded = _recorder is not None and _sampler.records(trace_id, flags)
    return f"00-{trace_id}-{drawn[:16]}-{'01' if is_recorded else '00'}"


def beneath(traceparent: str) -> str:
    """The traceparent of a hop that follows from another; a new trace's where that is empty.

    The same one where it is not recorded: nobody will ask.
    """
    if not traceparent:
        return enter()
    if not is_recorded(traceparent):
        return traceparent
    return f"{traceparent[:36]}{secrets.token_hex(8)}{traceparent[52:]}"


def after(traceparent: str, happened: datetime) -> str:
    """The traceparent of a hop of an event that happened then; of one that is `OLD` nothing is recorded any more.

    A consumer that is set back, or a stream that is filled again, would else tell a history.
    """
    if is_recorded(traceparent) and time_ns() - happened.timestamp() * 1e9 > OLD:
        return f"{traceparent[:-1]}0"
    return beneath(traceparent)


def is_recorded(traceparent: str) -> bool:
    """Whether a hop of this traceparent is told to somebody."""
    return _recorder is not None and traceparent[-1:] in _SAMPLED


def trace_id_of(traceparent: str) -> str:
    """The id of its trace, 32 hexadecimal digits, for log lines; empty where there is none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else ""


def span_id_of(traceparent: str) -> str:
    """The id of its span, 16 hexadecimal digits; empty where there is none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[2] if found else ""


def record(
    name: str, kind: Kind, at: str, *, within: str, started: int, attributes: Attributes, error: str = ""
) -> None:
    """Tell a hop that ends now, if it is recorded."""
    if _recorder is None or not is_recorded(at) or not span_id_of(at):
        return
    span = Span(
        name=name,
        kind=kind,
        at=at,
        within=within,
        started=started,
        ended=max(started, time_ns()),
        error=error,
        attributes=attributes,
    )
    try:
        _recorder.tell(span)
    except Exception as failure:  # noqa: BLE001 - no trace is worth a request
        log.warning("a span is lost", error=type(failure).__name__)


class Hop:
    """A hop under way: `attributes` and `error` may be added until it is over."""

    __slots__ = ("at", "attributes", "error")

    def __init__(self, at: str, attributes: Attributes) -> None:
        self.at = at
        self.attributes = attributes
        self.error = ""


_HOP: ContextVar[Hop | None] = ContextVar("hop", default=None)


@contextmanager
def hop(
    name: str, kind: Kind, *, within: str | None = None, at: str = "", attributes: Attributes | None = None
) -> Iterator[Hop]:
    """A hop for as long as the block takes, within the one under way where `within` is None; `here` is its name there.

    What the block raises is its error, by class alone: messages can quote anything.
    """
    outer = here() if within is None else within
    made = Hop(at or beneath(outer), attributes or {})
    started, token = time_ns(), _HOP.set(made)
    try:
        yield made
    except BaseException as error:
        made.error = made.error or type(error).__name__
        raise
    finally:
        _HOP.reset(token)
        record(name, kind, made.at, within=outer, started=started, error=made.error, attributes=made.attributes)


def here() -> str:
    """The traceparent of the hop under way; empty where there is none."""
    found = _HOP.get()
    return found.at if found else ""


def note(name: str, value: str | int, *, error: str = "") -> None:
    """Add an attribute to the hop under way, if there is one, and what went wrong in it."""
    if found := _HOP.get():
        found.attributes[name] = value
        found.error = error or found.error


def about_message(operation: str, does: str, feed: str, count: int) -> Attributes:
    """What the semantic conventions for messaging say of a hop of an event; `count` were done together."""
    return {
        "messaging.system": "nats",
        "messaging.operation.type": operation,
        "messaging.operation.name": does,
        "messaging.destination.name": feed,
        "messaging.batch.message_count": count,
    }


def about_event(event_id: UUID, kind: str, seq: int) -> Attributes:
    """Which event it is: never whose, for a trace outlives their erasure."""
    return {"messaging.message.id": str(event_id), "cloudevents.event_type": kind, "todo.feed.seq": seq}


def about_work(table: str, kind: str, attempt: int) -> Attributes:
    """Which row of a work table is acted on, how often by now."""
    return {"todo.work.table": table, "todo.work.kind": kind, "todo.work.attempt": attempt}
