"""A lease: one active instance at a time, the next one within 4 s of its vanishing, at once when it leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest
from feeding import connection

from events.errors import LostFence
from events.lease import Lease
from events.postgres import dialer
from local.fixtures import Database, until
from local.postgres import Postgres

Instance = Callable[[], Lease]


async def ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def instance(todos: Database) -> AsyncIterator[Instance]:
    """A function that makes instances of one consumer; what they hold is released at the end."""
    made: list[Lease] = []

    def make() -> Lease:
        made.append(Lease("consumer test", dialer(todos.url, application="test")))
        return made[-1]

    yield make
    for lease in made:
        await lease.leave()


async def test_one_instance_is_active_and_the_others_are_not(instance: Instance) -> None:
    leases = [instance() for _ in range(5)]
    epochs = await asyncio.gather(*(lease.take() for lease in leases))
    assert sorted(epoch is not None for epoch in epochs) == [False, False, False, False, True]


async def test_renewing_keeps_the_epoch(instance: Instance) -> None:
    active = instance()
    assert [await active.take() for _ in range(3)] == [1, 1, 1]


async def test_a_standby_takes_over_within_4_s_of_a_holder_that_vanished(instance: Instance) -> None:
    vanished, standby = instance(), instance()
    assert await vanished.take() == 1
    begun = monotonic()
    async with asyncio.timeout(10):
        assert await standby.acquire() == 2
    assert 2 < monotonic() - begun < 4
    assert await vanished.take() is None


async def test_a_holder_that_renews_is_not_taken_over_from(instance: Instance) -> None:
    active, standby = instance(), instance()
    epoch = await active.acquire()
    keeping = asyncio.create_task(active.keep(epoch))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4.5):
            await standby.acquire()
    assert not keeping.done()
    await ended(keeping)


async def test_a_standby_takes_over_at_once_when_the_holder_leaves(instance: Instance) -> None:
    active, standby = instance(), instance()
    await active.acquire()
    await active.leave()
    assert await standby.take() == 2


async def test_leaving_ends_nobody_elses_lease(instance: Instance) -> None:
    active, standby = instance(), instance()
    await active.acquire()
    assert await standby.take() is None
    await standby.leave()
    assert await standby.take() is None
    assert await active.take() == 1


async def test_an_instance_cancelled_in_the_middle_of_a_renewal_still_leaves(instance: Instance) -> None:
    active, standby = instance(), instance()
    await active.acquire()
    renewal = asyncio.create_task(active.take())
    await asyncio.sleep(0)
    await ended(renewal)
    await active.leave()
    assert await standby.take() == 2


async def test_who_wakes_up_after_a_takeover_is_told(instance: Instance, todos: Database) -> None:
    stopped, standby = instance(), instance()
    epoch = await stopped.acquire()
    async with connection(todos.admin_url) as clock:  # its three seconds pass
        await clock.execute("update events.lease set expires_at = clock_timestamp() - interval '1 second'")
    assert await standby.take() == 2
    with pytest.raises(LostFence, match="consumer test"):
        async with asyncio.timeout(5):
            await stopped.keep(epoch)


async def test_a_lease_that_somebody_had_for_a_moment_is_lost_all_the_same(todos: Database, instance: Instance) -> None:
    active, operator = instance(), instance()
    epoch = await active.acquire()
    async with connection(todos.admin_url) as clock:
        await clock.execute("update events.lease set expires_at = clock_timestamp() - interval '1 second'")
    assert await operator.take() == epoch + 1
    await operator.leave()
    with pytest.raises(LostFence, match="or was"):
        async with asyncio.timeout(5):
            await active.keep(epoch)
    assert await active.acquire() == epoch + 2


async def test_a_lease_outlives_a_restart_of_the_database(own_postgres: Postgres) -> None:
    own_postgres.sql(
        "create schema events; create table events.lease (name text primary key, holder uuid not null, "
        "epoch bigint not null default 1, expires_at timestamptz not null)"
    )
    active = Lease("consumer test", dialer(own_postgres.admin_url, application="test"))
    assert await active.acquire() == 1
    keeping = asyncio.create_task(active.keep(1))
    own_postgres.restart()
    before = own_postgres.sql("select expires_at from events.lease")

    def renewed() -> bool:
        return own_postgres.sql("select expires_at from events.lease") != before

    await until(renewed)
    assert not keeping.done()
    await ended(keeping)
    await active.leave()
    assert own_postgres.sql("select epoch, expires_at < clock_timestamp() from events.lease") == "1|t\n"
