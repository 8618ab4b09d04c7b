"""How long events take to the stream and to whoever hears them, and one request's whole journey."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from reporting import Diary, answering, at, heard_by, new_todo

from activity import explain
from api.testing import People
from events.catalog.auth import UserErased
from events.catalog.mailer import MailFailed, MailSent
from events.catalog.todos import TodoToggled
from events.envelope import Envelope
from events.ids import uuid7
from local.fixtures import DatabaseFactory

NINE = "2026-11-28T09:00"
TEN = "2026-11-28T10:00"


@dataclass
class World:
    http: httpx.AsyncClient
    diary: Diary
    people: People

    async def explain(self, who: UUID, asked: object, *, operator: bool = False) -> httpx.Response:
        headers = self.people.headers(who, roles=["operator"] if operator else [])
        return await self.http.get(f"/activity/explain/{asked}", headers=headers)

    async def complete(self, me: UUID, request: str) -> Envelope:
        told = TodoToggled(todo_id=uuid4(), title="a", priority=3, completed=True)
        [envelope] = await self.diary.hear(me, NINE, told, request=request)
        return envelope

    async def pipeline(self) -> list[tuple[Any, ...]]:
        await self.diary.build()
        rows = await self.diary.pool.fetch("select * from analytics.pipeline order by 1, 2, 3")
        return [(f"{row[0]:%dT%H}", *list(row.values())[1:]) for row in rows]


@pytest.fixture
async def world(database: DatabaseFactory) -> AsyncIterator[World]:
    people = People()
    async with answering(database("activity").url, people) as (diary, http):
        diary.clock = lambda: at(NINE) + timedelta(milliseconds=12)
        yield World(http, diary, people)


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    assert data["more"] is False
    events: list[dict[str, Any]] = data["events"]
    return events


async def test_the_way_of_events_is_told_by_the_hour_in_which_they_were_appended(world: World) -> None:
    await world.diary.hear(uuid4(), NINE, *(new_todo(uuid4()) for _ in range(3)))
    await world.diary.hear(uuid7(), TEN, heard_by("mailer", "TODOS", 1, 40, 20, 20), feed="MAILER")
    assert await world.pipeline() == [
        ("28T09", "TODOS", "activity", 3, 12, 12, 12),
        ("28T09", "TODOS", "mailer", 3, 20, 40, 40),
        ("28T09", "TODOS", "stream", 3, 7, 7, 7),
        ("28T10", "MAILER", "activity", 1, 0, 0, 0),
        ("28T10", "MAILER", "stream", 1, 7, 7, 7),
    ]


async def test_what_was_heard_before_it_is_in_the_archive_counts_all_the_same(world: World) -> None:
    await world.diary.hear(uuid7(), TEN, heard_by("notifier", "TODOS", 1, 5), feed="NOTIFIER")
    assert ("28T09", "TODOS", "notifier", 1, 5, 5, 5) in await world.pipeline()


async def test_a_request_is_explained_from_its_event_to_its_letter(world: World) -> None:
    me = uuid4()
    done = await world.complete(me, "req-1")
    sent = MailSent(letter_id=uuid4(), kind="completion", cause=done.id, waited_ms=900)
    await world.diary.hear(me, NINE, sent, feed="MAILER", request="req-1")
    await world.diary.hear(uuid7(), NINE, heard_by("mailer", "TODOS", done.seq, 40), feed="MAILER", request="other")
    await world.diary.build()
    toggled, mailed = events_of(await world.explain(me, "req-1"))
    assert toggled == {
        "id": str(done.id),
        "feed": "TODOS",
        "seq": 1,
        "type": "todos.TodoToggled.v1",
        "request_id": "req-1",
        "cause": "req-1",
        "actor": str(me),
        "appended_at": "2026-11-28T09:00:00Z",
        "published_at": "2026-11-28T09:00:00.007000Z",
        "published_after_ms": 7,
        "heard": [
            {"by": "activity", "at": "2026-11-28T09:00:00.012000Z", "after_ms": 12},
            {"by": "mailer", "at": "2026-11-28T09:00:00.040000Z", "after_ms": 40},
        ],
        "outcome": None,
    }
    assert mailed["outcome"] == {"channel": "mail", "kind": "completion", "waited_ms": 900}
    assert events_of(await world.explain(me, done.id)) == [toggled, mailed], "by the event, too"


async def test_a_letter_that_tells_of_several_requests_is_in_the_journey_of_each(world: World) -> None:
    me = uuid4()
    first, second = await world.complete(me, "req-1"), await world.complete(me, "req-2")
    failed = MailFailed(letter_id=uuid4(), kind="completion", cause=first.id, reason="refused", others=(second.id,))
    await world.diary.hear(me, NINE, failed, feed="MAILER", request="req-1")
    for request in ("req-1", "req-2"):
        _, mailed = events_of(await world.explain(me, request))
        assert mailed["outcome"] == {"channel": "mail", "kind": "completion", "reason": "refused"}


async def test_a_persons_journey_is_for_them_and_for_operators(world: World) -> None:
    me, other = uuid4(), uuid4()
    done = await world.complete(me, "req-1")
    await world.complete(other, "req-1")
    assert [event["id"] for event in events_of(await world.explain(me, "req-1"))] == [str(done.id)]
    assert (await world.explain(uuid4(), "req-1")).status_code == 404
    assert (await world.explain(uuid4(), done.id)).status_code == 404
    assert len(events_of(await world.explain(uuid4(), "req-1", operator=True))) == 2
    assert (await world.http.get("/activity/explain/req-1")).status_code == 401


async def test_a_request_that_went_by_another_correlation_is_found_by_its_own_id(world: World) -> None:
    me = uuid4()
    told = TodoToggled(todo_id=uuid4(), title="a", priority=3, completed=True)
    [done] = await world.diary.hear(me, NINE, told, request="req-1", correlation="session-1")
    assert [event["id"] for event in events_of(await world.explain(me, "req-1"))] == [str(done.id)]


async def test_of_the_erased_nothing_is_explained(world: World) -> None:
    me = uuid4()
    await world.complete(me, "req-1")
    await world.diary.hear(me, NINE, UserErased(user_id=me))
    assert (await world.explain(uuid4(), "req-1", operator=True)).status_code == 404


@pytest.mark.parametrize("asked", [uuid4(), "never-asked", "a" * 200])
async def test_what_nobody_knows_is_not_found(world: World, asked: object) -> None:
    assert (await world.explain(uuid4(), asked, operator=True)).status_code == 404


async def test_a_journey_with_very_many_events_says_that_there_are_more(world: World) -> None:
    me = uuid4()
    await world.diary.hear(me, NINE, *(new_todo(uuid4()) for _ in range(explain.EVENTS_MAX + 1)), request="req-1")
    data = (await world.explain(me, "req-1")).json()["data"]
    assert (len(data["events"]), data["more"]) == (explain.EVENTS_MAX, True)
