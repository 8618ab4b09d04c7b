"""Weeks and months are closed once each, with the figures of what their person did."""

import asyncio
from collections.abc import AsyncIterator
from zoneinfo import available_timezones

import asyncpg
import pytest
from reporting import PARK, Diary, at, keeping

from activity.periods import closes_at, opened, zone_of
from activity.tables import erase_person
from events.catalog.activity import Figures
from events.catalog.auth import ProfileChanged, UserErased, UserRegistered
from events.catalog.feeds import feeds_of
from events.clock import system_clock
from events.migrate import migrate
from local.fixtures import DatabaseFactory, until

# In Seoul: Monday the 23rd to Sunday the 29th of November 2026, closed on Monday the 30th at 9.
BEGINS, CLOSES = "2026-11-22T15:00", "2026-11-30T00:00"


@pytest.fixture
async def diary(database: DatabaseFactory) -> AsyncIterator[Diary]:
    async with keeping(database("activity").url) as kept:
        yield kept


async def test_a_week_is_closed_on_monday_at_nine_with_what_was_done_in_it(diary: Diary) -> None:
    me, other = await diary.register("2026-11-01T00:00"), await diary.register("2026-11-01T00:00")
    await diary.create(me, "2026-11-22T14:59")  # Sunday, 23:59
    [before] = await diary.close("2026-11-23T00:00")
    one, two, three = await diary.create(me, BEGINS, "2026-11-24T03:00", "2026-11-29T14:59")
    await diary.create(me, "2026-11-29T15:00")
    await diary.create(other, "2026-11-25T00:00")
    for todo, when in ((one, "2026-11-28T03:00"), (two, "2026-11-28T03:10"), (three, "2026-11-29T14:59")):
        await diary.toggle(me, when, todo)
    await diary.toggle(me, "2026-11-28T04:00", two, done=False)
    await diary.miss(me, "2026-11-26T00:00")
    assert await diary.close("2026-11-29T23:59") == []
    mine, _ = sorted(await diary.close(CLOSES), key=lambda said: said.user_id != me)
    assert (mine.user_id, mine.period, mine.timezone) == (me, "week", "Asia/Seoul")
    assert (mine.start, mine.end) == (at(BEGINS), at("2026-11-29T15:00"))
    assert mine.figures == Figures(
        created=3, completed=2, completion_rate=2 / 3, streak=2, busiest_hours=(12, 23, 0), overdue=1
    )
    assert mine.previous == before.figures
    assert await diary.close("2026-11-30T00:01") == []


async def test_a_month_is_closed_on_the_first_at_nine(diary: Diary) -> None:
    me = await diary.register("2026-11-11T00:00")
    await diary.create(me, "2026-11-12T00:00", "2026-11-30T14:59", "2026-11-30T15:00")
    assert [said.period for said in await diary.close("2026-11-30T23:59")] == []
    [month] = await diary.close("2026-12-01T00:00")
    assert (month.period, month.start, month.end) == ("month", at("2026-10-31T15:00"), at("2026-11-30T15:00"))
    assert (month.figures.created, month.previous) == (2, None)


async def test_nobody_without_activity_gets_a_report(diary: Diary) -> None:
    """A missed deadline and a sign-in alone are no activity."""
    me, other = await diary.register("2026-11-11T00:00"), await diary.register("2026-11-11T00:00")
    await diary.miss(me, "2026-11-24T00:00")
    await diary.create(other, "2026-11-24T00:00")
    assert [said.user_id for said in await diary.close(CLOSES)] == [other]


async def test_however_many_close_at_once_each_period_is_said_once(diary: Diary) -> None:
    people = [await diary.register("2026-11-11T00:00") for _ in range(30)]
    for person in people:
        await diary.create(person, "2026-11-25T00:00")
    others = [diary.another() for _ in range(3)]
    for _ in range(10):
        await asyncio.gather(*(each.close(at(CLOSES), 7) for each in (diary.reports, *others)))
    said = [each.user_id for each in await diary.said()]
    assert (len(said), set(said)) == (30, set(people))


async def test_a_period_that_the_log_has_is_not_said_again_and_holds_nobody_up(diary: Diary) -> None:
    """As after a restored backup: the row says that the week is open, the log that it was told."""
    me = await diary.register("2026-11-11T00:00")
    await diary.create(me, "2026-11-25T00:00", "2026-12-01T00:00")
    before = await diary.pool.fetchrow("select * from open_period where user_id = $1 and period = 'week'", me)
    await diary.close(CLOSES)
    query = "update open_period set first_day = $2, since = $3, due_at = $4 where user_id = $1 and period = 'week'"
    await diary.pool.execute(query, me, before["first_day"], before["since"], before["due_at"])
    assert await diary.close(CLOSES) == []
    weeks = [said for said in await diary.close("2026-12-07T00:00") if said.period == "week"]
    assert [said.start for said in weeks] == [at("2026-11-29T15:00")]


async def test_after_a_downtime_the_latest_period_is_closed_late_and_older_ones_are_skipped(diary: Diary) -> None:
    me = await diary.register("2026-11-02T00:00")
    await diary.create(me, "2026-11-03T00:00", "2026-11-10T00:00", "2026-11-17T00:00", "2026-11-24T00:00")
    [week] = await diary.close("2026-11-29T23:59")
    assert (week.start, week.figures.created) == (at("2026-11-15T15:00"), 1)
    [following] = await diary.close(CLOSES)
    assert (following.start, following.previous) == (at("2026-11-22T15:00"), week.figures)


async def test_a_report_waits_for_what_is_parked_of_its_person(diary: Diary) -> None:
    """It is told once: what is redriven later would be missing in it for ever."""
    me, other = await diary.register("2026-11-02T00:00"), await diary.register("2026-11-02T00:00")
    for person in (me, other):
        await diary.create(person, "2026-11-26T00:00")
    await diary.pool.execute(PARK, 9, me)
    assert len(await diary.close(CLOSES)) == 1
    assert await diary.close("2026-11-30T03:00") == []
    await diary.pool.execute("delete from events.parked")
    assert len(await diary.close("2026-11-30T04:00")) == 1


async def test_whoever_moves_to_another_zone_gets_neither_two_nor_none(diary: Diary) -> None:
    """Los Angeles is 17 hours behind Seoul: the same Monday comes again there."""
    me = await diary.register("2026-11-02T00:00")
    await diary.create(me, "2026-11-26T00:00", "2026-11-29T16:00", "2026-12-03T00:00")
    [first] = await diary.close(CLOSES)
    await diary.move(me, "2026-11-30T01:00", "America/Los_Angeles")
    assert await diary.close("2026-11-30T17:00") == []
    assert [said.period for said in await diary.close("2026-12-07T16:59")] == ["month"]
    [second] = await diary.close("2026-12-07T17:00")
    assert (second.start, second.end, second.timezone) == (first.end, at("2026-12-07T08:00"), "America/Los_Angeles")
    assert (first.figures.created, second.figures.created) == (1, 2)


async def test_whoever_moves_east_past_nine_on_monday_is_told_at_once(diary: Diary) -> None:
    me = await diary.register("2026-11-02T00:00", "America/Los_Angeles")
    await diary.create(me, "2026-11-24T00:00")
    assert await diary.close("2026-11-30T01:00") == []
    await diary.move(me, "2026-11-30T01:00", None)
    [week] = await diary.close("2026-11-30T01:00")
    assert (week.end, week.timezone) == (at("2026-11-29T15:00"), "Asia/Seoul")


@pytest.mark.parametrize("name", ["Mars/Olympus", "Africa"])
async def test_a_zone_that_is_not_known_counts_as_none(diary: Diary, name: str) -> None:
    me = await diary.register("2026-11-02T00:00", name)
    await diary.create(me, "2026-11-24T00:00")
    [week] = await diary.close(CLOSES)
    assert week.timezone == "Asia/Seoul"


async def test_every_zone_that_can_be_chosen_can_be_counted_in(diary: Diary) -> None:
    zones = available_timezones() - {"localtime", "Factory"}
    known = await diary.pool.fetch("select known_zone(z) as zone from unnest($1::text[]) as z", list(zones))
    assert {row["zone"] for row in known} == zones


async def test_what_cannot_be_closed_is_late_and_readiness_says_so(
    diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without NATS nobody knows whether everything is heard."""
    monkeypatch.setattr("activity.reports.PATIENCE", 0.05)
    await diary.create(await diary.register("2020-11-02T00:00"), "2020-11-03T00:00")
    closing = asyncio.create_task(diary.reports.run())
    await until(lambda: diary.reports.check().state == "late")
    closing.cancel()
    assert await diary.said() == []


async def test_a_day_whose_midnight_comes_twice_counts_from_the_first(diary: Diary) -> None:
    """In the Azores it is midnight at 00:00 and at 01:00 UTC on 25 October 2026, the last day of a week."""
    me = await diary.register("2026-10-19T00:00", zone="Atlantic/Azores")
    todos = await diary.create(me, *["2026-10-24T12:00"] * 2)
    for when, todo in zip(("2026-10-24T12:30", "2026-10-25T00:30"), todos, strict=True):
        await diary.toggle(me, when, todo)
    week = (await diary.close("2026-10-27T00:00"))[0]
    assert week.figures.streak == 2


async def test_a_streak_goes_back_beyond_its_period_until_the_first_day_without(diary: Diary) -> None:
    me = await diary.register("2026-11-02T00:00")
    todos = await diary.create(me, *["2026-11-12T01:00"] * 20)
    for day, todo in zip((14, *range(16, 30)), todos, strict=False):
        await diary.toggle(me, f"2026-11-{day}T01:00", todo)
    week = (await diary.close(CLOSES))[0]
    assert week.figures.streak == 14
    assert week.previous
    assert week.previous.streak == 7


async def test_of_somebody_who_is_being_erased_nothing_is_told(diary: Diary) -> None:
    """Their rows may still be there: what is appended is erased before anybody reads it."""
    me, other = await diary.register("2026-11-02T00:00"), await diary.register("2026-11-02T00:00")
    for person in (me, other):
        await diary.create(person, "2026-11-24T00:00")
    await diary.hear(me, "2026-11-25T00:00", UserErased(user_id=me))
    assert [said.user_id for said in await diary.close(CLOSES)] == [other]
    mine = await diary.pool.fetch("select type, data from events.log where subject = $1", me)
    assert [(row["type"], row["data"]) for row in mine] == [("core.Erased.v1", "{}")]


async def test_an_erasure_under_way_and_a_closing_do_not_wait_for_each_other(diary: Diary) -> None:
    me, leaver = await diary.register("2026-11-02T00:00"), await diary.register("2026-11-02T00:00")
    await diary.create(me, "2026-11-24T00:00")
    async with diary.pool.acquire() as connection, connection.transaction():
        await connection.execute("select events.forget($1, $1)", leaver)
        closing = asyncio.create_task(diary.reports.close(at(CLOSES), 10))
        await asyncio.wait([closing], timeout=0.3)
        await connection.execute("update open_period set due_at = due_at where user_id = $1", me)
    assert await closing == 2
    assert [said.user_id for said in await diary.said()] == [me]


async def test_nobody_who_was_erased_has_a_zone_or_a_week_and_none_comes_back(diary: Diary) -> None:
    me, other = await diary.register("2026-11-02T00:00"), await diary.register("2026-11-02T00:00")
    await diary.hear(me, "2026-11-25T00:00", UserErased(user_id=me))
    assert await erase_person(diary.pool, me, 10) == 1
    told = UserRegistered(user_id=me, sealed_contact="s", locale=None, timezone=None)
    await diary.hear(me, "2026-11-02T00:00", told, ProfileChanged(user_id=me, timezone="Europe/Berlin"))
    for table in ("person", "open_period"):
        assert {row["user_id"] for row in await diary.pool.fetch(f"select user_id from {table}")} == {other}


async def test_whoever_was_here_before_reports_came_is_found_in_the_archive(database: DatabaseFactory) -> None:
    made = database("activity")
    async with keeping(made.url) as diary:
        people = [await diary.register("2026-11-02T00:00", zone) for zone in (None, "Europe/Berlin", "Asia/Tokyo")]
        await diary.move(people[0], "2026-11-03T00:00", "America/Los_Angeles")
        await diary.move(people[2], "2026-11-03T00:00", "Europe/Berlin")
        await diary.move(people[2], "2026-11-04T00:00", None)
        before = await diary.pool.fetch("select * from person order by user_id")
        owner = await asyncpg.connect(made.owner_url)
        try:
            await owner.execute("drop table open_period, person; drop function known_zone")
            await owner.execute("delete from events.migration where name = '0004_report.sql'")
            await migrate(owner, "activity", role="activity", feeds=feeds_of("activity"))
        finally:
            await owner.close()
        assert await diary.pool.fetch("select * from person order by user_id") == before
        for row in await diary.pool.fetch("select * from open_period join person using (user_id)"):
            zone = zone_of(row["timezone"])
            this = opened(row["period"], system_clock(), zone)
            assert (row["first_day"], row["since"]) == (this.first_day, this.since)
            assert row["due_at"] == closes_at(this, zone)
        assert await diary.pool.fetchval("select count(*) from open_period") == 6
