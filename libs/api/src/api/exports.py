"""A service's part of what a person takes along: one document, read page by page and sent as it is read."""

from asyncio import Semaphore
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta, Raw

from api.answers import Answer, Envelope
from api.guard import INVALID_TOKEN, signed_in
from api.messages import Message
from api.problems import UNAUTHENTICATED, Problem
from api.requests import Request
from api.routes import get
from api.streamed import ASKED_AGAIN, Turns, streamed
from events.erasure import is_erased
from events.sql import load

PAGE: Final = 100
"""Rows that are in memory at a time, where one has a few hundred bytes."""
PAGES_AT_ONCE: Final = 2
"""Pages that are read beside each other: whoever asks for anything else wants connections, too."""

EXPORTED: Final = Message(key="export.part", en="Data exported successfully", ko="데이터를 내보냈습니다")
Part: TypeAlias = Annotated[
    Raw, Meta(description="Rows by what they are", extra_json_schema={"type": "object"}, examples=[{"rows": []}])
]
"""JSON of its own shape in each service."""


class Listed(NamedTuple):
    """Rows of a person ($1) page by page: `query` gives $2 of them after a place ($3 ...), each as JSON and its place.

    No change moves a row to another place.
    """

    query: str
    start: tuple[Any, ...]


def by_number(query: str) -> Listed:
    """Rows in the order of a number."""
    return Listed(query, (0,))


def by_time(query: str) -> Listed:
    """Rows in the order of a moment, those of the same one by their id."""
    return Listed(query, (datetime.min.replace(tzinfo=UTC), UUID(int=0)))


class Holdings:
    """What a service holds of people: of some things few, told by one query as a JSON object; of others any number.

    Between two pages nothing is held in the database, for a reader may be slow. So a document is no snapshot: what was
    there all the while is in it once, as of some moment meanwhile. Last come the events of the log about a person, in
    every service: they tell of every row before.
    """

    def __init__(
        self, pool: asyncpg.Pool, lists: Mapping[str, Listed], *, few: str | None = None, page: int = 0
    ) -> None:
        self._pool = pool
        self._lists = {**lists, "events": by_number(load("events").export_events)}
        self._few = few
        self._page = page or PAGE
        self._reading = Semaphore(PAGES_AT_ONCE)

    async def of(self, person_id: UUID) -> AsyncGenerator[bytes]:
        """A person's document; raises `Problem` (401) where they were erased meanwhile: not all was there any more."""
        few: str = await self._pool.fetchval(self._few, person_id) if self._few else "{}"
        yield few[:-1].encode()
        comma = ", " if self._few else ""
        for name, listed in self._lists.items():
            yield f'{comma}"{name}": ['.encode()
            async with aclosing(self._pages(listed, person_id)) as pages:
                async for page in pages:
                    yield page
            yield b"]"
            comma = ", "
        async with self._pool.acquire() as connection:
            if await is_erased(connection, person_id):
                raise Problem(UNAUTHENTICATED, headers=INVALID_TOKEN)
        yield b"}"

    async def _pages(self, listed: Listed, person_id: UUID) -> AsyncGenerator[bytes]:
        place: tuple[Any, ...] | None = listed.start
        comma = b""
        while place is not None:
            page, place = await self._read(listed.query, person_id, place)
            if page:
                yield comma + page
            comma = b", "

    async def _read(self, query: str, person_id: UUID, place: tuple[Any, ...]) -> tuple[bytes, tuple[Any, ...] | None]:
        """A page as it is sent, and where the next begins. Its rows are in memory no longer than here."""
        async with self._reading:
            rows = await self._pool.fetch(query, person_id, self._page, *place)
        after = tuple(rows[-1])[1:] if len(rows) == self._page else None
        return ", ".join(row[0] for row in rows).encode(), after


def export_route(path: str, holdings: Holdings) -> HTTPRouteHandler:
    """`GET path`: what a service holds of the signed-in person; auth puts the parts together."""
    turns = Turns()

    @get(path, guards=[signed_in], problems=[ASKED_AGAIN])
    async def export(request: Request) -> Answer[Envelope[Part]]:
        """Get everything that this service holds about you. Whoever asks again ends what they asked for before."""
        return streamed(request, EXPORTED, holdings.of(request.user.id), turns)

    return export
