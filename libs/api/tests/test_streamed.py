"""An answer of any length is whole, refused, or cut so that its client sees it, and little of it is made ahead."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any
from uuid import UUID

import httpx
import pytest
import structlog

from api.answers import Answer, Envelope
from api.app import create_app
from api.guard import signed_in
from api.messages import Message
from api.problems import UNAVAILABLE, Problem
from api.requests import Request
from api.routes import get
from api.streamed import CUT, HELD_BACK, Turns, streamed
from api.testing import People, serving
from events.health import Health
from local.fixtures import until

TOLD = Message(key="told", en="Told", ko="말했습니다")
PIECE = b"x" * (HELD_BACK // 4)
ENDLESS = 100_000
ME, OTHER, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)


class Source:
    """Makes pieces of a text until it breaks or is let end; counts what it made, and who has had enough."""

    def __init__(self, pieces: int, failure: Exception | None = None) -> None:
        self.pieces = pieces
        self.failure = failure
        self.made = self.begun = self.closed = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def data(self) -> AsyncGenerator[bytes]:
        try:
            self.begun += 1
            yield b'"'
            await self.goes_on.wait()
            for _ in range(self.pieces):
                await asyncio.sleep(0)
                self.made += 1
                yield PIECE
            if self.failure:
                raise self.failure
            yield b'"'
        finally:
            self.closed += 1


@contextmanager
def counted(reason: str) -> Iterator[None]:
    """One answer more is cut for this reason, and none for another."""

    def figures() -> dict[str, float]:
        return {sample.labels["reason"]: sample.value for sample in CUT.collect()[0].samples if "_total" in sample.name}

    before = figures()
    yield
    assert figures() == before | {reason: before[reason] + 1}


class Face:
    """A service that answers from a source."""

    def __init__(self, http: httpx.AsyncClient, people: People) -> None:
        self.http = http
        self.people = people

    async def get(self, who: UUID = ME) -> httpx.Response:
        return await self.http.get("/told", headers=self.people.headers(who))

    @asynccontextmanager
    async def asked(self, who: UUID = ME) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """An answer that is read as far as its head; its client goes without a word."""
        url = self.http.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        authorization = self.people.headers(who)["authorization"]
        writer.write(f"GET /told HTTP/1.1\r\nhost: a\r\nauthorization: {authorization}\r\n\r\n".encode())
        try:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def answering(source: Source, *, drain: float = 5, **limits: Any) -> AsyncIterator[Face]:
    people, turns = People(), Turns(**limits)

    @get("/told", guards=[signed_in])
    async def told(request: Request) -> Answer[Envelope[str]]:
        return streamed(request, TOLD, source.data(), turns)

    app = create_app(title="x", routes=[told], health=Health(), guard=people.guard)
    async with serving(app, drain=drain) as http:
        yield Face(http, people)


async def test_what_is_short_has_a_length_and_is_kept_by_no_cache() -> None:
    async with answering(Source(1)) as face:
        answer = await face.get()
    assert answer.json() == {"message_key": "told", "message": "Told", "data": PIECE.decode()}
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


async def test_what_is_long_comes_whole() -> None:
    source = Source(40)
    async with answering(source) as face:
        answer = await face.get()
    assert answer.json()["data"] == PIECE.decode() * 40
    assert source.closed == 1


@pytest.mark.parametrize("failure", [OSError(), Problem(UNAVAILABLE, retry_after=5)])
async def test_what_fails_at_once_is_refused_as_ever(failure: Exception) -> None:
    async with answering(Source(1, failure)) as face:
        answer = await face.get()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize("failure", [OSError(), Problem(UNAVAILABLE), RuntimeError()])
async def test_what_fails_later_gets_no_end_so_that_its_client_sees_it(failure: Exception) -> None:
    async with answering(Source(40, failure)) as face:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            await face.get()
        async with face.asked() as (reader, _):
            assert not (await reader.read()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("failure", "reason", "level"),
    [(Problem(UNAVAILABLE), "refused", "warning"), (RuntimeError("a secret detail"), "failed", "error")],
)
async def test_what_is_cut_is_counted_and_what_nobody_foresaw_is_logged_with_its_place(
    failure: Exception, reason: str, level: str
) -> None:
    with structlog.testing.capture_logs() as logs, counted(reason):
        async with answering(Source(40, failure)) as face:
            with pytest.raises(httpx.RemoteProtocolError):
                await face.get()
    [said] = [log for log in logs if log["event"] == "an answer was cut"]
    assert (said["log_level"], said["reason"]) == (level, reason)
    assert ("raise self.failure" in said.get("where", "")) == (reason == "failed")
    assert "secret" not in str(said)


async def test_an_answer_that_outlasts_the_drain_of_a_service_that_leaves_gets_no_end() -> None:
    source = Source(ENDLESS)
    async with AsyncExitStack() as client:
        async with answering(source, drain=1) as face:
            reader, _ = await client.enter_async_context(face.asked())
        assert source.closed == 1
        assert not (await reader.read()).endswith(b"0\r\n\r\n")


async def test_nothing_more_is_made_for_a_client_that_has_gone() -> None:
    source = Source(ENDLESS)
    async with answering(source) as face:
        async with face.asked():
            assert source.closed == 0
        await until(lambda: source.closed == 1)
    assert source.made < ENDLESS


async def test_nothing_more_is_made_for_whoever_wants_the_head_alone() -> None:
    source = Source(ENDLESS)
    async with answering(source) as face:
        answer = await face.http.head("/told", headers=face.people.headers(ME))
        assert (answer.status_code, answer.content) == (200, b"")
        await until(lambda: source.closed == 1)
        assert (await face.http.head("/nowhere")).status_code == 404, "the connection goes on"
    assert source.made < 1000


async def test_a_client_that_does_not_read_is_waited_for_and_then_given_up() -> None:
    source = Source(ENDLESS)
    with counted("too_long"):
        async with answering(source, longest=1) as face, face.asked():
            await until(lambda: source.closed == 1)
        assert source.made < 1000


async def test_whoever_asks_again_is_answered_and_their_earlier_answer_is_cut() -> None:
    source = Source(ENDLESS)
    async with answering(source) as face, face.asked() as (reader, _), face.asked(OTHER):
        source.pieces = 40
        assert len((await face.get()).json()["data"]) == 40 * len(PIECE)
        await until(lambda: source.closed == 2)
        assert not (await reader.read()).endswith(b"0\r\n\r\n")
        assert source.closed == 2, "not that of somebody else"


async def test_whoever_asks_again_before_anything_was_sent_is_told_so_and_not_to_retry() -> None:
    """Two devices that are told when would end each other's answers for ever."""
    source = Source(1)
    source.goes_on.clear()
    async with answering(source) as face:
        earlier = asyncio.create_task(face.get())
        await until(lambda: source.begun == 1)
        later = asyncio.create_task(face.get())
        ended = await earlier
        assert (ended.status_code, ended.json()["code"]) == (409, "asked_again")
        assert "retry-after" not in ended.headers
        source.goes_on.set()
        assert (await later).status_code == 200


async def test_what_is_not_begun_in_time_is_refused_for_a_while() -> None:
    source = Source(1)
    source.goes_on.clear()
    async with answering(source, longest=0.1) as face:
        refused = await face.get()
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "unavailable", "30")


async def test_as_many_people_as_there_are_turns_are_answered_at_once() -> None:
    source = Source(ENDLESS)
    async with answering(source, at_once=2) as face, face.asked(ME):
        async with face.asked(OTHER):
            source.pieces = 1
            refused = await face.get(THIRD)
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert int(refused.headers["retry-after"]) > 0
        await until(lambda: source.closed == 1)
        assert (await face.get(THIRD)).status_code == 200


async def test_whoever_was_answered_longest_makes_room_for_the_next_once_they_had_their_share() -> None:
    source = Source(ENDLESS)
    async with (
        answering(source, at_once=2, share=0) as face,
        face.asked(ME),
        face.asked(OTHER) as (other, _),
        face.asked(ME),  # as of now: the other one has had it longest
    ):
        await until(lambda: source.closed == 1)
        source.pieces = 40
        with counted("made_room"):
            assert len((await face.get(THIRD)).json()["data"]) == 40 * len(PIECE)
            assert not (await other.read()).endswith(b"0\r\n\r\n")
        assert source.closed == 3, "that of nobody else"
