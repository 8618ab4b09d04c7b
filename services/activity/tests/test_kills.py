"""kill -9 of a rebuild and of a rollback, at any moment: never a half, nothing twice, and nobody who reads notices."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
import pytest
from killing import BEGUN, NOTE, Does, World
from reporting import keeping

from activity.recount import recount
from activity.tables import SQL
from local.fixtures import DatabaseFactory, until

KILLS, FULL = 2, 200
EVENTS: Final = 50_000
"""More than two transactions of a rebuild."""
MOMENT: Final = 1.0
"""Seconds until a kill, or until one after a transaction more: two take about so long."""


@pytest.fixture
async def world(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[World]:
    own = database("activity")
    owner = await asyncpg.connect(own.owner_url)
    await owner.execute(NOTE)
    async with keeping(own.url) as diary:
        people = [await diary.register("2026-11-01T00:00") for _ in range(20)]
        await diary.create(people[0], *["2026-11-22T14:00"] * 3)
        await diary.build()
        yield World(diary, owner, own, people, tmp_path)
    await owner.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("does", ["rebuild", "rollback"])
async def test_killed_again_and_again_it_goes_on_where_it_was_and_switches_once(
    world: World, does: Does, full: bool
) -> None:
    chance, wanted = Random(1), FULL if full else KILLS
    await world.prepare(does, EVENTS)
    kills = resumed = 0
    async with world.beside() as beside:
        before = await world.figures(beside.position)
        while kills < wanted:
            held, shown = await world.begun(BEGUN[does]), await world.switches()
            async with world.command(does) as child:
                ending = asyncio.create_task(child.wait())
                if chance.random() < 0.5:
                    await until(partial(world.goes_on, child, BEGUN[does], held), within=60)
                await asyncio.wait([ending], timeout=chance.uniform(0, MOMENT))
                was_killed = not ending.done()
                await world.kill(child)
            await world.is_over(does)
            kills += was_killed
            assert was_killed or ending.result() == 0, world.out
            switched = await world.switches()
            assert len(switched) - len(shown) in ({0, 1} if was_killed else {1})
            assert await world.figures(beside.position) == before, "a half is shown"
            if held:
                assert await world.still(held) == held, "what was built was built anew"
                assert (
                    held.id == (await world.begun(BEGUN[does]) if switched == shown else await world.begun("live")).id
                )
                resumed += held.position > 0
        await world.ends(does)
        assert await world.figures(beside.position) == before
    shown = await world.switches()
    assert (await world.begun("live")).id == shown[-1]
    assert does == "rollback" or len(shown) == len(set(shown)), "each was shown once"
    assert [each.wrong for each in await recount(world.diary.pool, len(world.people))] == [""]
    print(f"{does}: {kills} kills, {resumed} resumed, {len(shown)} switches, {beside.reads} reads, 0 failed")


@pytest.mark.parametrize("does", ["rebuild", "rollback"])
@pytest.mark.parametrize("done", [False, True], ids=["before it", "all but the commit"])
async def test_killed_while_places_change_it_changes_nothing_and_does_it_when_called_again(
    world: World, does: Does, done: bool
) -> None:
    await world.prepare(does, 100)
    async with world.beside() as beside:
        live, reads = await world.begun("live"), beside.reads
        async with world.held_up(done=done), world.command(does) as child:
            await until(lambda: world.waits_in(does, SQL.change_places if done else SQL.live_lock))
            begun = await world.begun(BEGUN[does])
            await until(lambda: beside.reads > reads + 4)
            await world.kill(child)
        await world.is_over(does)
        assert ((await world.begun("live")).id, await world.begun(BEGUN[does])) == (live.id, begun)
        assert await world.switches() == []
        await world.ends(does)
        assert await world.still(begun) == begun, "it went on with what was there"
    assert await world.switches() == [begun.id]
    assert ((await world.begun("live")).id, (await world.begun("kept")).id) == (begun.id, live.id)
