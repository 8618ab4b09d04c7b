"""Calls that wait for one another: the counter's lock is what orders them, in the database, not in the process."""

import asyncio

import pytest
from feeding import CODEC, PERSON, connection, context, create, created, log_ids, running, toggle, toggled

from events.command import Change, new_command
from events.ids import uuid7
from events.log import Log, append_last
from events.postgres import dialer
from local.fixtures import Database, until

WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.mark.parametrize("commands", [1, 2], ids=["the same command", "two commands"])
async def test_calls_over_two_connections_go_one_after_the_other(todos: Database, commands: int) -> None:
    """A dead connection's call may still commit: a look-up without the lock misses it, a number without it is twice."""
    sent = [create(events=2) for _ in range(commands)] * (2 // commands)
    async with (
        connection(todos.owner_url) as holder,
        connection(todos.url) as one,
        connection(todos.url) as two,
        asyncio.TaskGroup() as group,
        holder.transaction(),
    ):
        await holder.execute("select from events.feed where name = 'TODOS' for update")
        calls = [
            group.create_task(append_last(each, "TODOS", command))
            for each, command in zip((one, two), sent, strict=True)
        ]
        await until(lambda: are_waiting(todos, 2))
    assert sorted([call.result().position for call in calls]) == [2, 2 * commands]
    assert [seq for seq, _ in await log_ids(todos)] == list(range(1, 2 * commands + 1))


async def test_a_request_cancelled_on_its_way_harms_no_other(todos: Database) -> None:
    log = Log("TODOS", dialer(todos.url, application="test"))
    async with running(log.run), connection(todos.owner_url) as holder:
        async with holder.transaction():
            await holder.execute("select from events.feed where name = 'TODOS' for update")
            gone, other = (asyncio.create_task(log.append(create())) for _ in range(2))
            await until(lambda: are_waiting(todos, 1))
            gone.cancel()
        assert (await other).position == 2
        assert (await log.append(create())).position == 3


async def are_waiting(todos: Database, count: int) -> bool:
    """Whether so many calls wait for a lock."""
    async with connection(todos.admin_url) as admin:
        return bool(await admin.fetchval(WAITING) == count)


async def test_a_command_that_steps_aside_is_not_overtaken_by_one_on_its_other_aggregate(todos: Database) -> None:
    log = Log("TODOS", dialer(todos.url, application="test"))
    one, other = uuid7(), uuid7()
    both = new_command(
        CODEC,
        context(),
        Change(aggregate=one, expected=1, subject=PERSON, events=[toggled(one)]),
        Change(aggregate=other, expected=0, subject=PERSON, events=[created(other)]),
    )
    waiting = [asyncio.create_task(log.append(each)) for each in (create(one), both, toggle(other, 1))]
    await asyncio.sleep(0)  # all three stand in the queue before the lane takes a group
    async with running(log.run):
        answers = await asyncio.gather(*waiting)
    assert [answer.position for answer in answers] == [1, 3, 4]
