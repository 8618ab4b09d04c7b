"""A trace: each hop is told once it is over, under ids that were fixed before, and no hop is worth a request."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest
from collector import Collector, Kept, collecting, kept
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from events import tracing
from events.errors import BadSettings
from events.otlp import Exporter
from events.settings import read
from events.tracing import Sampler, Settings, beneath, enter, here, hop, is_recorded, note, record, sampler_of
from local.fixtures import until

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = CALLER[:-1] + "0"
NONE = ["", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", CALLER + "-x", CALLER.upper(), "zz" + CALLER[2:], "\xff"]
NAMES = get_args(Settings.__annotations__["otel_traces_sampler"])
REFERENCES = {
    "always_on": sampling.ALWAYS_ON,
    "always_off": sampling.ALWAYS_OFF,
    "traceidratio": sampling.TraceIdRatioBased(0.3),
    "parentbased_always_on": sampling.ParentBased(sampling.ALWAYS_ON),
    "parentbased_always_off": sampling.ParentBased(sampling.ALWAYS_OFF),
    "parentbased_traceidratio": sampling.ParentBased(sampling.TraceIdRatioBased(0.3)),
}
BARE = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


@pytest.fixture
def recorder() -> Iterator[Kept]:
    with kept() as made:
        yield made


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def trace(traceparent: str) -> str:
    return traceparent.split("-")[1]


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(min_value=1, max_value=2**128 - 1), st.sampled_from(["", "00", "01"]))
def test_a_sampler_decides_as_the_sdks_own_of_its_name(name: str, trace_id: int, flags: str) -> None:
    ours = sampler_of(Settings(otel_traces_sampler=name, otel_traces_sampler_arg=0.3))
    parent = SpanContext(trace_id, 1, is_remote=True, trace_flags=TraceFlags(int(flags or "0", 16)))
    within = set_span_in_context(NonRecordingSpan(parent)) if flags else None
    decision = REFERENCES[name].should_sample(within, trace_id, "request").decision
    assert ours.records(f"{trace_id:032x}", flags) == decision.is_sampled()


@pytest.mark.parametrize("incoming", NONE)
def test_a_request_without_a_proper_traceparent_begins_a_trace(incoming: str) -> None:
    with kept():
        first, second = enter(incoming), enter(incoming)
    assert trace(first) != trace(second)
    assert first.endswith("-01")
    assert enter(incoming).endswith("-00"), "nobody records it"


def test_a_request_is_within_its_callers_trace_and_is_recorded_as_the_caller_says(recorder: Kept) -> None:
    for incoming in (CALLER, UNSAMPLED):
        entered = enter(incoming)
        assert (entered[:36], entered[-3:]) == (incoming[:36], incoming[-3:])
        assert entered != incoming


def test_a_callers_traceparent_is_passed_on_where_nothing_is_recorded() -> None:
    assert enter(CALLER) == CALLER
    assert beneath(CALLER) == CALLER


def test_what_is_not_recorded_needs_no_name_of_its_own(recorder: Kept) -> None:
    assert beneath(UNSAMPLED) == UNSAMPLED
    assert not is_recorded(UNSAMPLED)
    follows = beneath(CALLER)
    assert trace(follows) == trace(CALLER)
    assert follows != CALLER
    assert is_recorded(follows)
    assert is_recorded(beneath("")), "what nobody asked for begins a trace"


def test_a_hop_is_within_the_one_under_way(recorder: Kept) -> None:
    with hop("outer", "consumer", within=CALLER) as outer:
        assert here() == outer.at
        with hop("inner", "client"):
            note("todo.work.outcome", "failed", error="failed")
    inner, told = recorder.spans
    assert (told.name, told.kind, told.at, told.within, told.error) == ("outer", "consumer", outer.at, CALLER, "")
    assert (inner.within, inner.error, inner.attributes) == (told.at, "failed", {"todo.work.outcome": "failed"})
    assert told.started <= inner.started <= inner.ended <= told.ended
    assert here() == ""


def test_what_goes_wrong_in_a_hop_is_named_by_its_class_alone(recorder: Kept) -> None:
    with pytest.raises(ValueError, match="secret"), hop("outer", "client", within=CALLER):
        raise ValueError("a secret")
    [told] = recorder.spans
    assert told.error == "ValueError"
    assert "secret" not in repr(told)


def test_a_recorder_that_breaks_harms_nobody() -> None:
    class Broken(Kept):
        def tell(self, span: tracing.Span) -> None:
            raise OSError("no room left")

    tracing.use(Broken(), Sampler(share=1.0))
    try:
        with hop("outer", "client"):
            done = True
    finally:
        tracing.use(None, Sampler())
    assert done


def test_without_an_endpoint_there_is_no_sdk_and_no_thread() -> None:
    assert loaded() == "[] 1"
    assert loaded(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_SDK_DISABLED="true") == "[] 1"
    assert loaded(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") == "['sdk'] 2"


def loaded(**environment: str) -> str:
    """What a process has of OpenTelemetry after it is configured, and how many threads."""
    script = (
        "import sys, threading; from events.tracing import configure_tracing; configure_tracing('todos'); "
        "import api.app, events.outlet, events.consumer, events.work; "
        "print([n[14:] for n in sys.modules if n == 'opentelemetry.sdk'], threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", script], env=BARE | environment, capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_all_wrong_settings_are_named() -> None:
    with pytest.raises(BadSettings) as wrong:
        read(
            Settings,
            {
                "OTEL_TRACES_SAMPLER": "sometimes",
                "OTEL_TRACES_SAMPLER_ARG": "2",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://somebody:s3cret@collector:4318",
            },
        )
    for name in ("TRACES_SAMPLER", "TRACES_SAMPLER_ARG", "EXPORTER_OTLP_PROTOCOL", "EXPORTER_OTLP_ENDPOINT"):
        assert f"OTEL_{name}: " in str(wrong.value)
    assert "s3cret" not in str(wrong.value)


def test_one_request_of_a_hundred_is_recorded_unless_told_otherwise() -> None:
    assert sampler_of(read(Settings, {})) == Sampler(follows=True, share=0.01)


async def test_spans_arrive_as_they_were_told(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    exporter, at = Exporter("todos"), CALLER[:36] + "1234567890abcdef-01"
    span = tracing.Span(
        name="process OTP",
        kind="consumer",
        at=at,
        within=CALLER,
        started=time.time_ns() - 5_000,
        ended=time.time_ns(),
        error="",
        attributes={"todo.feed.seq": 7},
    )
    exporter.tell(span)
    exporter.tell(msgspec.structs.replace(span, within="", error="failed", kind="server"))
    exporter.close()
    told, root = collector.spans
    assert (told.service, told.name, told.kind, told.is_error) == ("todos", "process OTP", "consumer", False)
    assert (told.trace, told.id, told.parent) == (trace(CALLER), "1234567890abcdef", "00f067aa0ba902b7")
    assert (told.took, told.attributes) == (span.ended - span.started, {"todo.feed.seq": 7})
    assert (root.trace, root.id, root.parent) == (trace(CALLER), "1234567890abcdef", "")
    assert (root.kind, root.is_error, root.attributes["error.type"]) == ("server", True, "failed")


async def test_a_collector_that_hangs_holds_up_neither_a_hop_nor_the_end(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    collector.hangs.set()
    tracing.configure_tracing("todos")
    began = time.perf_counter()
    try:
        for _ in range(3_000):  # more than wait in the queue
            record("x", "client", CALLER, within="", started=0, attributes={})
        assert time.perf_counter() - began < 2
    finally:
        began = time.perf_counter()
        tracing.stop_tracing()
    assert time.perf_counter() - began < tracing.FLUSH + 6
    assert enter().endswith("-00"), "nothing is recorded any more"
    collector.hangs.clear()
    await until(lambda: "last spans" not in {thread.name for thread in threading.enumerate()})
    assert collector.spans


PROCESS = """
import asyncio
from events.health import Health
from events.process import run, start
from events.tracing import configure_tracing, hop

configure_tracing("todos")

async def server():
    with hop("last", "internal"):
        print("told", flush=True)
    await asyncio.Event().wait()

start(run(server=server, tasks=[], health=Health()))
"""


@pytest.mark.parametrize("hangs", [False, True], ids=["answers", "hangs"])
def test_the_last_spans_of_a_process_are_sent_and_its_end_does_not_wait_for_them(
    collector: Collector, *, hangs: bool
) -> None:
    if hangs:
        collector.hangs.set()
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
    }
    with subprocess.Popen([sys.executable, "-c", PROCESS], env=BARE | settings, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"told\n"
        began = time.perf_counter()
        process.terminate()
        process.wait(20)
    assert time.perf_counter() - began < tracing.FLUSH + 6
    assert [span.name for span in collector.spans] == ([] if hangs else ["last"])
