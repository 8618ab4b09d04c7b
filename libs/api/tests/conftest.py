"""A small service of our own behind the real server."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from litestar import get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from api.answers import Answer, Envelope, Page, answer, page
from api.app import create_app
from api.conditions import require_match
from api.edge import Edge
from api.guard import has_role, signed_in
from api.messages import Message
from api.pages import Cursor, Limit, from_cursor, to_cursor
from api.requests import Request
from api.testing import People, serving
from events import errors
from events.health import Check, Health


class NewThing(msgspec.Struct, kw_only=True):
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    priority: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3
    owner: UUID | None = None
    tags: list[str] = []


class Shelf:
    """A part that handlers get by name."""

    name = "shelf"


SAVED = Message(key="thing.saved", en="Thing saved", ko="저장했습니다")
LISTED = Message(key="thing.listed", en="Things", ko="목록입니다")


@post("/things", guards=[signed_in])
async def create(
    request: Request, data: JSONBody[NewThing], shelf: NamedDependency[Shelf]
) -> Answer[Envelope[NewThing]]:
    assert shelf.name == "shelf"
    return answer(request, SAVED, data, status=201, version=1, location="/things/1").at("THINGS", 7)


@get("/things")
async def things(
    request: Request, limit: Limit = 20, cursor: Cursor = None, kind: FromQuery[Literal["a", "b"] | None] = None
) -> Answer[Page[str]]:
    start = from_cursor(cursor, int) if cursor else 0
    return page(request, LISTED, [f"{kind}-{nr}" for nr in range(start, start + limit)], to_cursor(start + limit))


@get("/things/{thing_id:uuid}")
async def thing(request: Request, thing_id: FromPath[UUID]) -> Answer[Envelope[UUID]]:
    return answer(request, SAVED, thing_id)


@put("/things/{thing_id:uuid}")
async def replace(request: Request, thing_id: FromPath[UUID]) -> Answer[Envelope[UUID]]:
    require_match(request.headers.get("if-match"), 3)
    return answer(request, SAVED, thing_id, version=4)


@get("/secrets", guards=[signed_in, has_role("analyst")])
async def secrets(request: Request) -> Answer[Envelope[UUID]]:
    return answer(request, SAVED, request.user.id)


FAILURES: dict[str, Exception] = {
    "bug": RuntimeError("a secret detail"),
    "conflict": errors.VersionConflict("stale"),
    "reused": errors.KeyReused("reused"),
    "overloaded": errors.Overloaded("full", retry_after=3),
    "unknown": errors.OutcomeUnknown("unknown"),
    "away": asyncpg.CannotConnectNowError("starting"),
    "refused": ConnectionRefusedError(),
    "nul": asyncpg.CharacterNotInRepertoireError("U+0000"),
}


@get("/fail/{how:str}")
async def fail(how: FromPath[str]) -> Answer[None]:
    raise FAILURES[how]


@pytest.fixture
def people() -> People:
    return People()


@pytest.fixture
def health() -> Health:
    health = Health()
    health.add(lambda: Check("relay", "late", "12 events behind"))
    return health


@pytest.fixture
def app(people: People, health: Health) -> Edge:
    return create_app(
        title="Things",
        routes=[create, things, thing, replace, secrets, fail],
        health=health,
        guard=people.guard,
        parts={"shelf": Shelf()},
        cors_origins=["https://app.test"],
    )


@pytest.fixture
async def client(app: Edge) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(app) as client:
        yield client


@pytest.fixture
def me(people: People) -> dict[str, str]:
    return people.headers(UUID(int=1))
