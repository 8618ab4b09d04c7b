"""One trace holds a request's whole journey through all services, as a real receiver of OTLP hears it; no secret."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import mailserver
import pytest
from collector import Collector, Told, collecting

import system
from local.fixtures import until
from system import System, code_of


@dataclass
class Traced:
    """A stack that tells every span, and mails over SMTP to `port`."""

    world: System
    collector: Collector
    port: int
    certificates: mailserver.Certificates


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    certificates = mailserver.make_certificates(tmp_path_factory.mktemp("certificates"))
    port = system.ports.free_port()
    with collecting(system.ports.free_port()) as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "MAIL_TRANSPORT": "smtp",
            "SMTP_SERVER": "127.0.0.1",
            "SMTP_PORT": str(port),
            "SMTP_USERNAME": mailserver.USERNAME,
            "SMTP_PASSWORD": mailserver.PASSWORD,
            "SMTP_CA_FILE": str(certificates.authority),
        }
        with system.system(**settings) as world:
            yield Traced(world, collector, port, certificates)


def new_trace() -> tuple[str, str, dict[str, str]]:
    """A caller's trace, its span there, and the header that says so."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, {"traceparent": f"00-{trace}-{span}-01"}


def hops(spans: Sequence[Told]) -> set[tuple[str, str, str]]:
    """Each span with its service and the name of what it is within."""
    names = {span.id: f"{span.service}: {span.name}" for span in spans}
    return {(span.service, span.name, names.get(span.parent, span.parent)) for span in spans}


async def journey(traced: Traced, trace: str, wanted: set[tuple[str, str, str]]) -> list[Told]:
    """The spans of a trace, once all that are wanted are there."""

    def arrived() -> bool:
        return wanted <= hops(traced.collector.of(trace))

    try:
        await until(arrived, within=20)
    except pytest.fail.Exception:
        found = hops(traced.collector.of(trace))
        pytest.fail(f"missing: {sorted(wanted - found)}\nfound: {sorted(found)}")
    return traced.collector.of(trace)


async def test_a_code_is_traced_from_the_request_to_the_mail_server_and_back_into_the_archive(traced: Traced) -> None:
    trace, span, header = new_trace()
    async with mailserver.mail_server(traced.port, traced.certificates, auth=True) as server:
        async with traced.world.visitor() as someone:
            await someone.ask_for_code(**header)
        await until(lambda: server.mails)
        spans = await journey(
            traced,
            trace,
            {
                ("auth", "POST /users/request-otp", span),
                ("auth", "append OTP", "auth: POST /users/request-otp"),
                ("auth", "publish OTP", "auth: append OTP"),
                ("mailer", "process OTP", "auth: append OTP"),
                ("activity", "process OTP", "auth: append OTP"),
                ("mailer", "work letter", "mailer: process OTP"),
                ("mailer", "send smtp", "mailer: work letter"),
                ("mailer", "append MAILER", "mailer: work letter"),
                ("mailer", "publish MAILER", "mailer: append MAILER"),
                ("activity", "process MAILER", "mailer: append MAILER"),
            },
        )
    assert len(spans) == len({each.id for each in spans})
    assert not any(each.is_error for each in spans)
    by_name = {(each.service, each.name): each for each in spans}
    assert by_name["auth", "POST /users/request-otp"].attributes["http.response.status_code"] == 200
    assert by_name["mailer", "process OTP"].attributes["cloudevents.event_type"] == "auth.OtpRequested.v1"
    assert by_name["mailer", "work letter"].attributes["todo.work.outcome"] == "sent"
    assert by_name["mailer", "send smtp"].attributes["server.port"] == traced.port


async def test_a_new_to_do_is_traced_from_the_request_into_the_archive(traced: Traced) -> None:
    async with (
        mailserver.mail_server(traced.port, traced.certificates, auth=True),
        traced.world.person() as me,
    ):
        trace, span, header = new_trace()
        created = await me.create("우유 사기", **header)
        spans = await journey(
            traced,
            trace,
            {
                ("todos", "POST /todos", span),
                ("todos", "append TODOS", "todos: POST /todos"),
                ("todos", "publish TODOS", "todos: append TODOS"),
                ("activity", "process TODOS", "todos: append TODOS"),
            },
        )
    position = int(created.headers["x-event-position"].removeprefix("TODOS:"))
    heard = [each for each in spans if each.name == "process TODOS"]
    assert {each.attributes["todo.feed.seq"] for each in heard} == {position}


async def test_a_letter_that_waits_for_its_server_is_one_trace_with_an_attempt_each_and_so_are_its_log_lines(
    traced: Traced,
) -> None:
    trace, _, header = new_trace()
    async with traced.world.visitor() as someone:
        await someone.ask_for_code(**header)
        failed = await journey(traced, trace, {("mailer", "send smtp", "mailer: work letter")})
        async with mailserver.mail_server(traced.port, traced.certificates, auth=True) as server:
            await until(lambda: server.mails, within=30)
            await journey(traced, trace, {("activity", "process MAILER", "mailer: append MAILER")})
            attempts = await until(partial(attempts_of, traced, trace))  # told by another process than that
    first = next(each for each in failed if each.name == "send smtp")
    assert first.is_error
    assert first.attributes["error.type"].startswith("SMTPConnect")
    assert [each.attributes["todo.work.attempt"] for each in attempts] == list(range(1, len(attempts) + 1))
    lines = [
        json.loads(line) for line in traced.world.stack.layout.logs.joinpath("mailer.log").read_text().splitlines()
    ]
    assert trace in {line.get("trace_id") for line in lines if line["event"] == "the mail server"}


def attempts_of(traced: Traced, trace: str) -> list[Told] | None:
    """The attempts at a letter, once one went well."""
    attempts = [each for each in traced.collector.of(trace) if each.name == "work letter"]
    return attempts if [each.attributes["todo.work.outcome"] for each in attempts][-1:] == ["sent"] else None


async def test_no_span_holds_an_address_a_code_a_token_or_what_somebody_wrote(traced: Traced) -> None:
    title, query = f"canary{secrets.token_hex(8)}", f"query{secrets.token_hex(8)}"
    async with (
        mailserver.mail_server(traced.port, traced.certificates, auth=True) as server,
        traced.world.visitor() as someone,
    ):
        session = await someone.sign_in()
        code = code_of(await someone.letter())
        created = await someone.create(title)
        trace, _, header = new_trace()
        await someone.http.get("/todos/", params={"search": query}, headers=header)
        await someone.http.get(f"/mail/unsubscribe/{title}", headers=header)
        await journey(traced, trace, {("todos", "GET /todos", header["traceparent"][36:52])})
        await until(lambda: [each for each in server.mails if "List-Unsubscribe" in each])
        await until(partial(_is_heard, traced, created.headers["x-event-position"]))
    exported = b"".join(traced.collector.bodies)
    assert b"todos.TodoCreated.v1" in exported, "the search finds what is there"
    wrote = (title, query, created.headers["location"].rpartition("/")[2])
    secret = (someone.email, someone.id, session["access_token"], session["refresh_token"], mailserver.PASSWORD)
    for text in (*wrote, *secret):
        assert text.encode() not in exported, text
    assert f'"{code}"'.encode() not in exported
    values = {str(value) for span in traced.collector.spans for value in span.attributes.values()}
    assert code not in values


def _is_heard(traced: Traced, position: str) -> bool:
    seq = int(position.removeprefix("TODOS:"))
    return any(each.attributes["todo.feed.seq"] == seq for each in traced.collector.named("process TODOS"))


def test_without_an_endpoint_no_service_loads_anything_of_opentelemetrys() -> None:
    script = (
        "import sys, auth.main, todos.main, mailer.main, activity.main, notifier.main; "
        "from events.tracing import configure_tracing; configure_tracing('todos'); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    bare = {name: value for name, value in system.os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", script], env=bare, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
