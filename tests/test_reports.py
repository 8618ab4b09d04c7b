"""A week passes, and what a person did in it is said once."""

from local.fixtures import until
from system import Person, System, after_the_week


async def test_a_week_is_told_once_whatever_restarts(world: System) -> None:
    async with world.person() as someone, world.person() as quiet:
        await some_work(someone)
        ahead = after_the_week()
        with world.later(ahead):
            [week] = await until(someone.weeks, within=40)
            world.kill("activity")
            await world.ready("activity")
            await until(lambda: nothing_is_due(world, ahead), within=40)
            assert await someone.weeks() == [week]
            assert await quiet.weeks() == []
    assert (str(week.user_id), week.timezone, week.previous) == (someone.id, "Asia/Seoul", None)
    assert (week.figures.created, week.figures.completed, week.figures.overdue) == (3, 2, 0)
    assert len(week.figures.busiest_hours) in {1, 2}


async def some_work(someone: Person) -> None:
    """Three to-dos, two of them completed."""
    paths = [(await someone.create(f"{nr}")).headers["location"] for nr in range(3)]
    for path in paths[:2]:
        await someone.http.patch(f"{path}/toggle")
    await someone.did(*["todo_created"] * 3, *["todo_toggled"] * 2)


async def nothing_is_due(world: System, ahead: float) -> bool:
    query = "select not exists (select from open_period where due_at <= now() + make_interval(secs => $1))"
    return bool(await world.value("activity", query, ahead))
