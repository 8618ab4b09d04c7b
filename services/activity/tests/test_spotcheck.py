"""A second opinion on figures that are counted event by event: it agrees with what is right, and finds what is not."""

from collections.abc import AsyncIterator

import pytest
from history import live
from reporting import Diary, heard_by, keeping

from activity.spotcheck import spot_check
from events.ids import uuid7
from local.fixtures import DatabaseFactory

ALL = 1_000
TEN = "2026-11-28T10:00"


@pytest.fixture
async def diary(database: DatabaseFactory) -> AsyncIterator[Diary]:
    async with keeping(database("activity").url) as diary:
        await diary.hear(uuid7(), TEN, heard_by("mailer", "TODOS", 1, 40, 20, 20), feed="MAILER")
        await live(diary)
        yield diary


async def wrong(diary: Diary) -> dict[str, str]:
    """What is found wrong, by projection."""
    return {each.about.partition(":")[0]: each.wrong for each in await spot_check(diary.pool, ALL) if each.wrong}


async def test_it_agrees_with_figures_that_are_right(diary: Diary) -> None:
    looked_at = [each.about for each in await spot_check(diary.pool, ALL)]
    assert looked_at == [f"{name}: 38 events, counted anew" for name in ("sign_ins", "messages", "hearing")]
    assert await wrong(diary) == {}


@pytest.mark.parametrize(
    ("projection", "table"), [("sign_ins", "sign_in"), ("messages", "message"), ("hearing", "hearing")]
)
async def test_a_row_that_is_missing_is_found(diary: Diary, projection: str, table: str) -> None:
    number = await diary.pool.fetchval(f"select min(number) from projections.{table}")
    await diary.pool.execute(f"delete from projections.{table} where number = $1", number)
    assert await wrong(diary) == {projection: f"number {number} of the archive is shown otherwise"}


@pytest.mark.parametrize(
    ("projection", "table"), [("sign_ins", "sign_in"), ("messages", "message"), ("hearing", "hearing")]
)
async def test_a_row_that_is_there_twice_is_found(diary: Diary, projection: str, table: str) -> None:
    number = await diary.pool.fetchval(f"select max(number) from projections.{table}")
    await diary.pool.execute(
        f"insert into projections.{table} select * from projections.{table} where number = $1", number
    )
    assert await wrong(diary) == {projection: f"number {number} of the archive is shown otherwise"}


async def test_what_is_not_built_yet_is_not_looked_at(diary: Diary) -> None:
    await diary.hear(uuid7(), TEN, heard_by("mailer", "TODOS", 4, 10), feed="MAILER")
    assert await wrong(diary) == {}


async def test_without_any_event_there_is_nothing_wrong(database: DatabaseFactory) -> None:
    async with keeping(database("activity").url) as nothing:
        assert [each.wrong for each in await spot_check(nothing.pool, 10)] == ["", "", ""]
