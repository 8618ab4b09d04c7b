"""A request is a span of its caller's trace: its route and its status, and nothing of what it says."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import structlog
from collector import Kept, kept
from litestar import get
from litestar.params import FromPath

from api.answers import Answer
from api.app import create_app
from api.requests import Request, context_of
from api.testing import serving
from events.clock import system_clock
from events.health import Health

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET = "5up3r"


class Seen:
    """What a handler saw of its request's trace."""

    traceparent = ""
    logged = ""


@pytest.fixture
def recorder() -> Iterator[Kept]:
    with kept() as made:
        yield made


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    @get("/things/{token:str}")
    async def things(request: Request, token: FromPath[str]) -> Answer[None]:
        Seen.traceparent = context_of(request, system_clock()).traceparent
        Seen.logged = structlog.contextvars.get_contextvars()["trace_id"]
        if token == "bug":
            raise RuntimeError(SECRET)
        return Answer(b"{}")

    async with serving(create_app(title="x", routes=[things], health=Health()), drain=1) as served:
        yield served


async def test_a_request_is_a_span_of_its_callers_trace(client: httpx.AsyncClient, recorder: Kept) -> None:
    answer = await client.get(f"/things/{SECRET}?q={SECRET}", headers={"traceparent": CALLER, "x-secret": SECRET})
    assert answer.status_code == 200
    [told] = recorder.spans
    assert (told.name, told.kind, told.error) == ("GET /things/{token}", "server", "")
    assert told.within == CALLER
    assert told.at == Seen.traceparent, "what it appends is within it"
    assert told.at[:36] == CALLER[:36]
    assert told.attributes == {
        "http.request.method": "GET",
        "http.route": "/things/{token}",
        "http.response.status_code": 200,
        "url.scheme": "http",
    }
    assert SECRET not in repr(told)
    assert Seen.logged == CALLER[3:35]


async def test_a_request_without_a_caller_begins_a_trace(client: httpx.AsyncClient, recorder: Kept) -> None:
    await client.get("/things/1")
    await client.get("/things/1", headers={"traceparent": "what is this"})
    first, second = recorder.spans
    assert first.at[3:35] != second.at[3:35]
    assert recorder.spans[0].within == ""


async def test_a_failure_of_ours_is_an_error_and_a_refusal_is_none(client: httpx.AsyncClient, recorder: Kept) -> None:
    assert (await client.get("/things/bug")).status_code == 500
    assert (await client.get("/nowhere")).status_code == 404
    bug, nowhere = recorder.spans
    assert (bug.error, nowhere.error) == ("500", "")
    assert nowhere.name == "GET unmatched"
    assert SECRET not in repr(bug)


async def test_what_a_caller_does_not_record_is_not_told(client: httpx.AsyncClient, recorder: Kept) -> None:
    await client.get("/things/1", headers={"traceparent": CALLER[:-1] + "0"})
    assert recorder.spans == []
    assert Seen.traceparent[:36] == CALLER[:36]


async def test_who_watches_the_process_is_in_no_trace(client: httpx.AsyncClient, recorder: Kept) -> None:
    for path in ("/healthz/live", "/healthz/ready", "/metrics"):
        assert (await client.get(path)).status_code == 200
    assert recorder.spans == []


async def test_logs_are_joined_by_their_trace_also_where_none_is_recorded(client: httpx.AsyncClient) -> None:
    await client.get("/things/1", headers={"traceparent": CALLER})
    assert Seen.logged == CALLER[3:35]
    await client.get("/things/1")
    assert len(Seen.logged) == 32
    assert Seen.logged != CALLER[3:35]
