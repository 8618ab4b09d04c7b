"""Answers that are sent as they are made, of any length: little of one is in memory, whoever reads it slowly."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from math import ceil
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog
from litestar.types import HTTPResponseBodyEvent, Receive, Scope, Send
from msgspec import Raw
from prometheus_client import Counter

from api.answers import JSON, Answer, answer, private
from api.failures import where
from api.messages import Message, Text
from api.problems import UNAVAILABLE, Kind, Problem
from api.requests import Request

T = TypeVar("T")
HELD_BACK: Final = 256 * 1024
"""How much is made before anything is sent: what fails by then is refused as ever, what is no longer has a length."""
LONGEST: Final = 15 * 60.0
"""For how many seconds an answer may go on: 1 GB at 10 Mbit/s."""
SHARE: Final = 60.0
"""For how many seconds it goes on at least where others wait for a turn."""
TURNS: Final = 16
"""How many answers a process sends at a time. Whoever does not read holds three pieces: 4 MB of the longest to-dos."""

ASKED_AGAIN: Final = Kind(
    status=409,
    code="asked_again",
    title=Text("Asked for again", "다시 요청되었습니다"),
    detail=Text(
        "You asked for this once more, perhaps on another device: that request is answered, this one is not.",
        "다른 기기 등에서 같은 것을 다시 요청하셨습니다. 나중 요청에만 응답합니다.",
    ),
)
"""It names no moment to retry at: two devices that did would end each other's for ever."""

REASONS: Final = ("asked_again", "made_room", "too_long", "refused", "failed")
CUT: Final = Counter("todo_cut_answers_total", "Long answers that broke off after they began, by reason", ["reason"])
for _reason in REASONS:
    CUT.labels(_reason)

log = structlog.get_logger(__name__)


class _Ended(Problem):
    """A turn was over before its answer."""

    def __init__(self, reason: str, kind: Kind, *, retry_after: int | None = None) -> None:
        super().__init__(kind, retry_after=retry_after)
        self.reason = reason


class Turns:
    """Who is being sent what: one answer to each person, to so many people, for so many seconds.

    Where all turns are taken, whoever had theirs longest makes room for the next, once they had their share: readers
    as slow as they like keep it from nobody for longer.
    """

    def __init__(self, *, at_once: int = TURNS, longest: float = LONGEST, share: float = SHARE) -> None:
        self._at_once = at_once
        self._longest = longest
        self._share = share
        self._taken: dict[UUID, _Turn] = {}
        """In the order in which they began."""

    @asynccontextmanager
    async def of(self, person_id: UUID) -> AsyncIterator[None]:
        """A person's turn. It ends their turn before, for whoever lost a connection asks again.

        Raises `Problem` (503) where so many others have one, and none for long; or why it was ended.
        """
        if person_id in self._taken:
            self._taken.pop(person_id).end(_Ended("asked_again", ASKED_AGAIN))
        elif len(self._taken) >= self._at_once:
            self._make_room()
        turn = _Turn(self._longest)
        async with turn.limited():
            self._taken[person_id] = turn
            try:
                yield
            finally:
                if self._taken.get(person_id) is turn:
                    del self._taken[person_id]

    def _make_room(self) -> None:
        oldest, turn = next(iter(self._taken.items()))
        wait = turn.began + self._share - asyncio.get_running_loop().time()
        if wait > 0:
            raise Problem(UNAVAILABLE, retry_after=ceil(wait))
        self._taken.pop(oldest).end(_Ended("made_room", UNAVAILABLE, retry_after=30))


class _Turn:
    def __init__(self, longest: float) -> None:
        self.began = asyncio.get_running_loop().time()
        self._limit = asyncio.timeout(longest)
        self._why = _Ended("too_long", UNAVAILABLE, retry_after=30)

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        try:
            async with self._limit:
                yield
        except TimeoutError:
            if self._limit.expired():
                raise self._why from None
            raise

    def end(self, why: _Ended) -> None:
        if not self._limit.expired():
            self._why = why
            self._limit.reschedule(0)


class Streamed(Answer[T]):
    """An answer of pieces. Where they break off it gets no end: so its client sees it is cut (RFC 9112, section 8)."""

    __slots__ = ("_person", "_pieces", "_turns")

    def __init__(self, pieces: AsyncGenerator[bytes], person_id: UUID, turns: Turns) -> None:
        super().__init__(b"")
        self._pieces = pieces
        self._person = person_id
        self._turns = turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it, for as long as the client stays."""
        sending, leaving = asyncio.create_task(self._send(send)), asyncio.create_task(_left(receive))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.wait([sending, leaving])
        if not sending.cancelled():
            sending.result()

    async def _send(self, send: Send) -> None:
        begun = False
        try:
            async with self._turns.of(self._person), aclosing(self._pieces) as pieces:
                first, is_whole = await _first(pieces)
                begun = True
                await self._begin(send, len(first) if is_whole else None)
                await send(_body(first, more=not is_whole))
                del first
                if not is_whole:
                    async for piece in pieces:
                        await send(_body(piece))
                    await send(_body(b"", more=False))
        except Exception as failure:
            if not begun:
                raise
            _note(failure)

    async def _begin(self, send: Send, size: int | None) -> None:
        length = {} if size is None else {"content-length": str(size)}
        headers = {**self.headers, "content-type": JSON, **length}
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": pairs})


def streamed(request: Request, message: Message, data: AsyncGenerator[bytes], turns: Turns) -> Answer[Any]:
    """A success answer for whoever is signed in; `data` is JSON in pieces, which are asked for in their turn."""
    around = answer(request, message, Raw(b"")).body
    return private(Streamed(_around(around[:-1], data, around[-1:]), request.user.id, turns))


async def _around(head: bytes, data: AsyncGenerator[bytes], end: bytes) -> AsyncGenerator[bytes]:
    async with aclosing(data) as pieces:
        yield head
        async for piece in pieces:
            yield piece
        yield end


def _body(piece: bytes, *, more: bool = True) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def _first(pieces: AsyncGenerator[bytes]) -> tuple[bytes, bool]:
    """What is held back, and whether that is all."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        if len(held) >= HELD_BACK:
            return bytes(held), False
    return bytes(held), True


def _note(failure: Exception) -> None:
    """Log and count that an answer was cut; of what nobody foresaw, where."""
    match failure:
        case _Ended():
            reason = failure.reason
            log.warning("an answer was cut", reason=reason)
        case Problem():
            reason = "refused"
            log.warning("an answer was cut", reason=reason, code=failure.kind.code)
        case _:
            reason = "failed"
            log.error("an answer was cut", reason=reason, failure=type(failure).__qualname__, where=where(failure))
    CUT.labels(reason).inc()


async def _left(receive: Receive) -> None:
    """Until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
