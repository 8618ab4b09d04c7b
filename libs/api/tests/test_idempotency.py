"""A retried write: recognised, refused while its twin runs, answered as the first time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import patch
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.answers import Answer, Envelope, answer
from api.app import create_app
from api.guard import signed_in
from api.idempotency import intent_of, running, settled
from api.messages import Message
from api.requests import Request
from api.testing import People, serving
from events.command import Key
from events.health import Health
from events.log import Appended

MOVED = Message(key="moved", en="Moved", ko="옮겼습니다")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Keeper:
    """What append does with keys, without a log: the first answer is kept."""

    def __init__(self) -> None:
        self.keys: dict[tuple[UUID, str, str], Key] = {}
        self.writes = 0
        self.gate: asyncio.Event | None = None

    async def append(self, key: Key | None) -> Appended:
        if self.gate is not None:
            await self.gate.wait()
        kept = self.keys.setdefault((key.user_id, key.route, key.key), key) if key else None
        if kept is not key and kept is not None:
            return Appended(self.writes, kept.answer)
        self.writes += 1
        return Appended(self.writes)


@patch("/things/{thing_id:int}", guards=[signed_in])
async def move(request: Request, thing_id: FromPath[int], keeper: NamedDependency[Keeper]) -> Answer[Envelope[int]]:
    intent = await intent_of(request)
    with running(request, intent):
        moved = answer(request, MOVED, thing_id, version=keeper.writes + 1)
        key = intent.with_answer(moved, NOW) if intent else None
        return settled(moved, await keeper.append(key), "THINGS")


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
async def client(people: People, keeper: Keeper) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(title="x", routes=[move], health=Health(), guard=people.guard, parts={"keeper": keeper})
    async with serving(app) as client:
        yield client


async def test_a_retry_gets_the_first_answer_again(
    client: httpx.AsyncClient, keeper: Keeper, me: dict[str, str]
) -> None:
    headers = {**me, "idempotency-key": "k-1"}
    first = await client.patch("/things/7", headers=headers)
    again = await client.patch("/things/7", headers=headers)
    assert (again.status_code, again.content, again.headers["etag"]) == (200, first.content, first.headers["etag"])
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["x-event-position"] == first.headers["x-event-position"] == "THINGS:1"
    assert keeper.writes == 1


async def test_what_is_kept_names_person_route_and_body_for_a_day(
    client: httpx.AsyncClient, keeper: Keeper, me: dict[str, str]
) -> None:
    for path, body in (("/things/7", b"{}"), ("/things/8", b"{}"), ("/things/7", b"[]")):
        await client.request("PATCH", path, content=body, headers={**me, "idempotency-key": f"{path}{body!r}"})
    kept = list(keeper.keys.values())
    assert {(key.user_id, key.route) for key in kept} == {(UUID(int=1), "PATCH /things/{thing_id}")}
    assert len({key.body_hash for key in kept}) == 3, "another to-do or another body is another request"
    assert kept[0].expires_at == NOW + timedelta(hours=24)


async def test_a_twin_is_refused_while_the_first_runs_and_free_after_it(
    client: httpx.AsyncClient, keeper: Keeper, me: dict[str, str], people: People
) -> None:
    keeper.gate = asyncio.Event()
    headers = {**me, "idempotency-key": "k-1"}
    async with asyncio.TaskGroup() as tasks:
        twins = [tasks.create_task(client.patch("/things/7", headers=headers)) for _ in range(2)]
        other = tasks.create_task(
            client.patch("/things/7", headers={**people.headers(UUID(int=2)), "idempotency-key": "k-1"})
        )
        done, _ = await asyncio.wait(twins, return_when=asyncio.FIRST_COMPLETED, timeout=5)
        refused = done.pop().result()
        keeper.gate.set()
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (409, "still_running", "1")
    assert other.result().status_code == 200, "a key belongs to its person"
    assert (await client.patch("/things/7", headers=headers)).status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e9"])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, me: dict[str, str], key: str) -> None:
    headers: Any = [*me.items(), ("idempotency-key", key.encode("latin-1"))]
    refused = await client.patch("/things/7", headers=headers)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_without_a_key_nothing_is_kept(client: httpx.AsyncClient, keeper: Keeper, me: dict[str, str]) -> None:
    assert (await client.patch("/things/7", headers=me)).status_code == 200
    assert not keeper.keys
