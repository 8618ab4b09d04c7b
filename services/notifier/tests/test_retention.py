"""The clean-up drops what is over, as the role that the service runs under, and nothing else."""

from datetime import timedelta
from uuid import uuid4

from notifying import World, service

from local.fixtures import until
from notifier.tables import drop_codes, drop_counts, drop_deliveries
from notifier.tickets import drop_tickets


async def test_tickets_go_when_they_are_over(world: World) -> None:
    await world.ticket(uuid4())
    assert await drop_tickets(world.pool, world.watch, 100) == 0
    world.watch.ahead = timedelta(seconds=31)
    await world.ticket(uuid4())
    assert await drop_tickets(world.pool, world.watch, 100) == 1


async def test_what_counts_codes_goes_after_a_day(world: World) -> None:
    number = {"phone_number": "+821012345678"}
    await world.http.post("/notifications/phone", json=number, headers=world.people.headers(uuid4()))
    world.watch.ahead = timedelta(hours=23, minutes=59)
    for drop in (drop_codes, drop_counts):
        assert await drop(world.pool, world.watch, 100) == 0
    world.watch.ahead = timedelta(hours=24, seconds=1)
    for drop in (drop_codes, drop_counts):
        assert await drop(world.pool, world.watch, 100) == 1


async def test_given_a_number_that_was_counted_a_day_ago_when_the_notifier_runs_then_it_goes(world: World) -> None:
    count = "select count(*) from number_asked"
    await world.pool.execute("insert into number_asked values ('old', now() - interval '25 hours'), ('new', now())")
    async with service(world):

        async def one_is_left() -> bool:
            return bool(await world.pool.fetchval(count) == 1)

        await until(one_is_left, within=20)


async def test_deliveries_go_a_month_after_they_were_settled(world: World) -> None:
    number = {"phone_number": "+821012345678"}
    await world.http.post("/notifications/phone", json=number, headers=world.people.headers(uuid4()))
    world.watch.ahead = timedelta(days=31)
    assert await drop_deliveries(world.pool, world.watch, 100) == 0
    await world.pool.execute("update delivery set state = 'sent', settled_at = now()")
    assert await drop_deliveries(world.pool, world.watch, 100) == 1
