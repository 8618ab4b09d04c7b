"""The same question with the same `as_of` has the same bytes: now, after more events, and after a rebuild."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import history
import httpx
import pytest
from history import ANN, BOB, CY
from reporting import Diary, answering

from activity.commands import obey
from activity.formats import CSV, JSON, LINES, PARQUET
from activity.metrics import METRICS
from activity.projections import PROJECTIONS
from api.testing import People
from events.clock import system_clock
from local.fixtures import DatabaseFactory


@dataclass
class World:
    """Figures over HTTP, and who is heard."""

    http: httpx.AsyncClient
    diary: Diary
    people: People

    async def answers(self, *as_of: str) -> dict[tuple[str, ...], bytes]:
        """Every metric in every format, as an analyst and as Ann, as of each of these."""
        told = {}
        for role in ("analyst", "nobody"):
            for metric in METRICS.values():
                for media in (JSON, CSV, LINES, PARQUET):
                    for each in as_of:
                        if role == "analyst" or metric.personal:
                            told[role, metric.name, media, each] = await self._answer(role, metric.name, media, each)
        return told

    async def _answer(self, role: str, metric: str, media: str, as_of: str) -> bytes:
        headers = self.people.headers(ANN, roles=[role]) | {"accept": media}
        answer = await self.http.get(f"/analytics/{metric}", params={"as_of": as_of}, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == media
        return answer.content

    async def more(self) -> None:
        """Something more in every metric, on days that were told of, too; and late words that move what was told."""
        for person in (ANN, BOB, CY):
            [todo] = await history.create(self.diary, person, "2025-11-14T10:00")
            await history.toggle(self.diary, person, "2025-11-14T10:30", todo)
            await history.miss(self.diary, person, "2025-11-03T09:00")
            await history.ask_for_code(self.diary, "2025-11-03T00:00", waited_ms=1)
            await history.tell_of_completions(self.diary, person, "2025-11-03T15:12")
        self.diary.clock = system_clock
        await self.diary.move(ANN, "2025-11-02T00:00", "America/New_York")
        await self.diary.move(BOB, "2025-11-05T00:00", None)
        await self.diary.build()


@pytest.fixture
async def world(database: DatabaseFactory) -> AsyncIterator[World]:
    people = People()
    async with answering(database("activity").url, people) as (diary, http):
        yield World(http, diary, people)


async def test_answers_as_of_a_position_or_a_moment_are_the_same_bytes_whatever_comes_after(world: World) -> None:
    await history.live(world.diary)
    last = await world.diary.pool.fetchval("select max(number) from archive")
    as_of = (str(last // 2), str(last), "2025-11-14T09:30:00Z")
    before = await world.answers(*as_of)
    assert len(before) == len(as_of) * 4 * (len(METRICS) + 3)
    assert before["analyst", "daily", JSON, as_of[0]] != before["analyst", "daily", JSON, as_of[1]]
    await world.more()
    assert await world.answers(*as_of) == before, "after more events"
    now = await world.answers("")
    assert all(now[*key, ""] != told for (*key, each), told in before.items() if each == str(last)), "all is news"
    assert await obey(world.diary.pool, ["rebuild", "all"]) == 0
    assert await world.answers(*as_of) == before, "after a rebuild"
    await world.more()
    assert await world.answers(*as_of) == before, "after more events that the new build heard"
    for projection in PROJECTIONS:
        assert await obey(world.diary.pool, ["rollback", projection]) == 0
    assert await world.answers(*as_of) == before, "after a rollback"
