"""Several writers of one feed: the counter's lock is what orders them, in the database, not in the process."""

import asyncio

from feeding import CODEC, PERSON, connection, context, create, created, log_ids, running, toggle, toggled

from events.command import Change, new_command
from events.ids import uuid7
from events.log import Log, append_last
from events.postgres import dialer
from local.fixtures import Database, until

WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


async def test_writers_in_two_processes_share_the_numbers_without_a_hole(todos: Database) -> None:
    one, two = (Log("TODOS", dialer(todos.url, application=name)) for name in ("one", "two"))
    async with running(one.run, two.run):
        for _ in range(10):
            await asyncio.gather(*(log.append(create()) for log in (one, two) for _ in range(30)))
    assert [seq for seq, _ in await log_ids(todos)] == list(range(1, 601))


async def test_a_command_sent_over_a_second_connection_while_the_first_still_waits_is_stored_once(
    todos: Database,
) -> None:
    """A dead connection's command may still commit: who looks it up before holding the lock does not see it."""
    command = create(events=2)
    async with (
        connection(todos.owner_url) as holder,
        connection(todos.url) as one,
        connection(todos.url) as two,
        asyncio.TaskGroup() as group,
        holder.transaction(),
    ):
        await holder.execute("select from events.feed where name = 'TODOS' for update")
        calls = [group.create_task(append_last(each, "TODOS", command)) for each in (one, two)]
        await until(lambda: _are_waiting(todos, 2))
    assert [(await call).position for call in calls] == [2, 2]
    assert len(await log_ids(todos)) == 2


async def _are_waiting(todos: Database, count: int) -> bool:
    async with connection(todos.admin_url) as admin:
        return bool(await admin.fetchval(f"{WAITING} having count(*) = $1", count))


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
