"""A rebuild goes on beside what is shown, is compared with it, and takes its place; what was shown can come back."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from reporting import Diary, keeping

from activity.builds import Rebuilt, rebuild, roll_back
from activity.commands import obey
from activity.projections import PROJECTIONS, Projections, builds
from activity.recount import look_through, recount
from activity.tables import SQL
from local.fixtures import DatabaseFactory, until


@pytest.fixture
async def diary(database: DatabaseFactory) -> AsyncIterator[Diary]:
    async with keeping(database("activity").url) as kept:
        yield kept


@pytest.fixture
async def me(diary: Diary) -> UUID:
    """Somebody with twenty to-dos, all of them shown."""
    me = await diary.register("2026-11-01T00:00")
    await diary.create(me, *["2026-11-22T14:00"] * 20)
    await diary.build()
    return me


def silent(_: int, __: int) -> None:
    """A report for nobody."""


async def states(diary: Diary, projection: str = "actions") -> dict[str, tuple[int, int]]:
    """The builds by state, each with its id and position."""
    return {each.state: (each.id, each.position) for each in await builds(diary.pool) if each.projection == projection}


async def created(diary: Diary) -> int:
    return await diary.pool.fetchval("select coalesce(sum(created), 0)::int from analytics.daily")


async def created_is(diary: Diary, count: int) -> bool:
    return await created(diary) == count


async def test_a_rebuild_takes_the_place_of_what_is_shown_and_keeps_it(diary: Diary, me: UUID) -> None:
    before = await states(diary)
    assert await rebuild(diary.pool, "actions", 1, silent) == Rebuilt(is_shown=True, position=21, differences=[])
    after = await states(diary)
    assert after["kept"] == before["live"]
    assert after["live"][0] != before["live"][0]
    assert await created(diary) == 20
    await diary.create(me, "2026-11-22T14:00")
    assert await roll_back(diary.pool, "actions", silent) == 22
    assert (await states(diary))["live"] == (before["live"][0], 22)
    assert await created(diary) == 21
    await rebuild(diary.pool, "actions", 1, silent)
    assert len(await states(diary)) == 2, "one is kept, not two"


async def test_a_rebuild_waits_for_whoever_reads_what_it_takes_away(diary: Diary, me: UUID) -> None:
    await rebuild(diary.pool, "actions", 1, silent)
    async with diary.pool.acquire() as reader:
        reading = reader.transaction()
        await reading.start()
        await reader.fetch("select * from analytics.daily")
        rebuilding = asyncio.create_task(rebuild(diary.pool, "actions", 1, silent))
        await asyncio.wait([rebuilding], timeout=3)
        assert not rebuilding.done()
        assert await created(diary) == 20, "others read meanwhile"
        await reading.commit()
        assert (await rebuilding).is_shown


async def test_nothing_comes_back_where_nothing_is_kept(diary: Diary, me: UUID) -> None:
    with pytest.raises(LookupError, match="nothing is kept of actions"):
        await roll_back(diary.pool, "actions", silent)


async def test_what_is_shown_and_wrong_is_told_and_replaced_on_demand_alone(diary: Diary, me: UUID) -> None:
    await diary.pool.execute("delete from projections.action where number = 7")
    told = await rebuild(diary.pool, "actions", 1, silent)
    assert not told.is_shown
    assert [(each.table, each.rows, each.first) for each in told.differences] == [("action", 1, 7)]
    assert await created(diary) == 19
    told = await rebuild(diary.pool, "actions", 1, silent, accept=True)
    assert (told.is_shown, len(told.differences)) == (True, 1)
    assert await created(diary) == 20


async def test_another_version_takes_its_place_and_its_differences_are_told(
    diary: Diary, me: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubled = SQL.actions_counted.replace("coalesce(z.zone, 'Asia/Seoul')", "'UTC'")
    monkeypatch.setitem(PROJECTIONS["actions"], 2, (SQL.actions_zones, doubled))
    told = await rebuild(diary.pool, "actions", 2, silent)
    assert (told.is_shown, [each.rows for each in told.differences]) == (True, [42])
    await diary.create(me, "2026-11-22T14:00")
    await diary.build()
    assert await created(diary) == 21
    version = await diary.pool.fetchval("select metric_version from analytics.reflected where projection = 'actions'")
    assert version == 2


async def test_a_rebuild_that_was_stopped_goes_on_where_it_was(
    diary: Diary, me: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activity.builds.BULK", 5)

    def stop(position: int, _: int) -> None:
        if position == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rebuild(diary.pool, "actions", 1, stop)
    assert (await states(diary))["building"][1] == 10
    seen: list[int] = []
    await rebuild(diary.pool, "actions", 1, lambda position, _: seen.append(position))
    assert seen[0] == 15
    assert await created(diary) == 20


async def test_what_was_begun_of_another_version_is_begun_anew(
    diary: Diary, me: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROJECTIONS["actions"], 2, PROJECTIONS["actions"][1])
    await diary.pool.execute("select projections.add_build('actions', 2, 'building')")
    assert (await rebuild(diary.pool, "actions", 1, silent)).is_shown
    assert set(await states(diary)) == {"live", "kept"}


async def test_readers_and_writers_notice_no_rebuild(diary: Diary, me: UUID) -> None:
    over, seen = asyncio.Event(), list[int]()

    async def read() -> None:
        while not over.is_set():
            seen.append(await created(diary))

    async def write() -> None:
        while not over.is_set():
            await diary.create(me, "2026-11-22T14:00")
            await diary.build()

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(write())
        for _ in range(3):
            assert (await rebuild(diary.pool, "actions", 1, silent)).differences == []
        await until(lambda: len(seen) > 30)
        over.set()
    assert seen == sorted(seen), "never a half, never less than before"
    await diary.build()
    assert await created(diary) == await diary.pool.fetchval(
        "select count(*) from archive where type = 'todos.TodoCreated.v1'"
    )


async def test_a_build_of_a_version_that_is_not_known_here_stands_still_and_says_so(
    diary: Diary, me: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await diary.pool.execute("update projections.build set version = 7 where projection = 'messages'")
    projections = Projections(diary.pool)
    running = asyncio.create_task(projections.run())
    await until(lambda: projections.check().state == "late")
    assert "messages" in projections.check().detail
    await diary.create(me, "2026-11-22T14:00")
    await until(lambda: created_is(diary, 21))
    running.cancel()


async def test_a_role_of_the_service_cannot_take_away_what_is_shown(diary: Diary, me: UUID) -> None:
    await diary.pool.execute("select projections.drop_build($1)", (await states(diary))["live"][0])
    assert await created(diary) == 20
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await diary.pool.execute("drop table projections.action")


async def test_a_second_opinion_agrees_with_the_figures_and_finds_what_is_wrong(diary: Diary, me: UUID) -> None:
    await diary.move(me, "2026-11-20T00:00", "America/New_York")
    [todo] = await diary.create(me, "2026-11-21T02:00")
    await diary.toggle(me, "2026-11-21T03:00", todo)
    await diary.build()
    assert [each.wrong for each in await recount(diary.pool, 10)] == [""]
    await diary.pool.execute("update projections.build set position = position - 1 where projection = 'actions'")
    assert [each.wrong for each in await recount(diary.pool, 10)] == [""], "as of what is shown"
    await diary.pool.execute("delete from projections.action where number = 3")
    [days] = await recount(diary.pool, 10)
    assert days.wrong == f"{me}: 19 created on 2026-11-22, counted 20"


async def test_an_archive_that_lacks_what_was_heard_or_has_it_twice_is_found(
    diary: Diary, me: UUID, database: DatabaseFactory
) -> None:
    seqs = {"AUTH": 1, "TODOS": 20}
    for feed, seq in seqs.items():
        await diary.pool.execute("insert into events.checkpoint values ('activity', $1, $2)", feed, seq)
    findings = await look_through(diary.pool, "activity")
    assert [each.wrong for each in findings] == ["", "", ""]
    await diary.pool.execute("update events.checkpoint set seq = 21 where feed = 'TODOS'")
    _, todos, numbers = await look_through(diary.pool, "activity")
    assert (todos.wrong, numbers.wrong) == ("20 rows, 20 numbers, heard up to 21", "")
    await diary.pool.execute("update archive_counter set last_number = 22")
    assert (await look_through(diary.pool, "activity"))[2].wrong == "21 rows, 21 numbers, from 1 to 21"


async def test_commands_say_what_they_did_and_end_with_a_code(
    diary: Diary, me: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await obey(diary.pool, ["rebuild", "all"]) == 0
    assert "actions: version 1 is shown, as of 21" in capsys.readouterr().out
    assert await obey(diary.pool, ["rollback", "actions"]) == 0
    assert await obey(diary.pool, ["rebuild", "actions", "--version", "9"]) == 1
    assert "actions has no version 9; there are 1" in capsys.readouterr().err
    await diary.pool.execute("delete from projections.action where number = 3")
    assert await obey(diary.pool, ["rebuild", "actions"]) == 1
    out = capsys.readouterr().out
    assert "actions: 1 rows of action differ, the first at 3" in out
    assert "--accept shows it" in out
    assert await obey(diary.pool, ["verify"]) == 1
    assert "wrong" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        await obey(diary.pool, ["rebuild", "nothing"])
