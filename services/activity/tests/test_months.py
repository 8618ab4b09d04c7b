"""Months of the log are there before what is of them is heard, however many hear and open at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime
from uuid import uuid4

import asyncpg
import pytest
from reporting import Diary, at, keeping, new_todo

from activity.consumers import Memory, keep
from activity.tables import drop_months, open_months
from events.catalog.auth import UserSignedIn
from events.catalog.mailer import MailSent
from events.hearing import Event
from local.fixtures import DatabaseFactory, until

HISTORY = ["2024-01-31T23:59", "2024-02-01T00:00", "2024-05-10T12:00", "2025-12-31T23:59", "2026-01-01T00:00"]
MONTHS = ["entry_2024_01", "entry_2024_02", "entry_2024_05", "entry_2025_12", "entry_2026_01"]
OPEN = "select open_months(now())"
ADD = "insert into entry values (gen_random_uuid(), $1, 'todo_created', '{}', $2, 'TODOS', 1)"


@pytest.fixture
async def diary(database: DatabaseFactory) -> AsyncIterator[Diary]:
    async with keeping(database("activity").url) as kept:
        yield kept


def told(diary: Diary, *when: str) -> list[Event]:
    """A to-do for each moment, of somebody."""
    return [diary.event("TODOS", uuid4(), at(each), new_todo(uuid4())) for each in when]


async def where(diary: Diary) -> list[str]:
    """In which partition each entry lies, oldest first."""
    rows = await diary.pool.fetch("select tableoid::regclass::text as month from entry order by at")
    return [row["month"] for row in rows]


async def waits(diary: Diary, connection: asyncpg.Connection) -> None:
    """Return once a connection waits for a lock."""
    pid = connection.get_server_pid()
    await until(lambda: diary.pool.fetchval("select cardinality(pg_blocking_pids($1)) > 0", pid))


async def test_a_history_of_years_lies_in_its_months_as_soon_as_it_is_heard(diary: Diary) -> None:
    memory = Memory()
    for events in (told(diary, *HISTORY[:3]), told(diary, *HISTORY[2:])):
        async with diary.pool.acquire() as connection, connection.transaction():
            await keep(connection, events, clock=diary.clock, memory=memory)
    assert await where(diary) == sorted([*MONTHS, "entry_2024_05"])
    assert memory.months == {date(2024, 5, 1)}, "the others were made in a transaction that might have been taken back"


async def test_a_month_is_made_again_after_a_batch_that_was_taken_back(diary: Diary) -> None:
    memory = Memory()
    [event] = told(diary, HISTORY[0])
    for is_kept in (False, True):
        async with diary.pool.acquire() as connection:
            block = connection.transaction()
            await block.start()
            await keep(connection, [event], clock=diary.clock, memory=memory)
            await (block.commit() if is_kept else block.rollback())
    assert await where(diary) == MONTHS[:1]


async def test_of_months_that_are_there_nothing_is_asked_again(diary: Diary) -> None:
    memory = Memory()
    for event in told(diary, *HISTORY[:1] * 2):
        async with diary.pool.acquire() as connection, connection.transaction():
            await keep(connection, [event], clock=diary.clock, memory=memory)
    assert memory.months == {date(2024, 1, 1)}
    async with diary.pool.acquire() as connection:
        asked: list[str] = []
        connection.add_query_logger(lambda each: asked.append(each.query))
        async with connection.transaction():
            await keep(connection, told(diary, HISTORY[0]), clock=diary.clock, memory=memory)
        assert any("insert into entry" in query for query in asked)
        assert not any("open_entry_months" in query for query in asked)


async def test_what_the_archive_has_is_asked_only_up_to_where_it_went_when_a_connection_began(diary: Diary) -> None:
    memory, events = Memory(), told(diary, *HISTORY[:1] * 5)
    asked: list[str] = []

    async def hear(connection: asyncpg.Connection, *events: Event) -> bool:
        asked.clear()
        connection.add_query_logger(lambda each: asked.append(each.query))
        async with connection.transaction():
            await keep(connection, events, clock=diary.clock, memory=memory)
        return any("select event_id from archive" in query for query in asked)

    async with diary.pool.acquire() as first, diary.pool.acquire() as second:
        assert not any([await hear(first, events[0]), await hear(first, *events[1:3])])
        again = [await hear(second, events[0]), await hear(second, *events[1:3]), await hear(second, *events[3:])]
        assert again == [True, True, False], "set back by two batches, and on from there"
        assert await hear(first, events[2]), "what was parked is heard over another one"
    rows = await diary.pool.fetch("select seq from archive order by number")
    assert [row["seq"] for row in rows] == [event.envelope.seq for event in events]


async def test_what_comes_after_its_month_was_dropped_is_kept_and_the_month_is_made_anew(diary: Diary) -> None:
    memory = Memory()
    for nr, event in enumerate(told(diary, *HISTORY[:1] * 4)):
        async with diary.pool.acquire() as connection, connection.transaction():
            await keep(connection, [event], clock=diary.clock, memory=memory)
        if nr == 1:
            assert await drop_months(diary.pool, lambda: at("2026-11-23T00:00"), 100, 1) == 1
        if nr == 2:
            assert await where(diary) == ["entry_other"]
    assert await where(diary) == MONTHS[:1] * 2


@pytest.mark.parametrize("opener", [OPEN, "select open_entry_months('{2024-01-01}')"])
async def test_what_is_added_while_its_month_is_made_lies_in_it(
    diary: Diary, database: DatabaseFactory, opener: str
) -> None:
    await add(diary, at(HISTORY[0]))
    async with diary.pool.acquire() as connection, diary.pool.acquire() as other:
        making = connection.transaction()
        await making.start()
        await connection.execute(opener)
        adding = asyncio.create_task(other.execute(ADD, uuid4(), at(HISTORY[0])))
        await waits(diary, other)
        await making.commit()
        await adding
    assert await where(diary) == MONTHS[:1] * 2


@pytest.mark.parametrize("opener", [OPEN, "select open_entry_months('{2024-01-01}')"])
async def test_a_month_waits_for_what_is_being_added_to_it(diary: Diary, opener: str) -> None:
    await add(diary, at(HISTORY[0]))
    async with diary.pool.acquire() as connection, diary.pool.acquire() as other:
        adding = other.transaction()
        await adding.start()
        await other.execute(ADD, uuid4(), at(HISTORY[0]))
        making = asyncio.create_task(connection.execute(opener))
        await waits(diary, connection)
        await adding.commit()
        await making
    assert await where(diary) == MONTHS[:1] * 2


async def add(diary: Diary, when: datetime) -> None:
    """An entry without a month."""
    await diary.pool.execute(ADD, uuid4(), when)
    assert await where(diary) == ["entry_other"]


async def test_however_many_hear_and_open_at_once_nothing_fails_and_nothing_is_lost(diary: Diary) -> None:
    """Feeds beside each other over the same months, each from the first, while the task of each minute runs."""
    moments = [f"{year}-{month:02}-15T12:00" for year in (2023, 2024) for month in range(1, 13)]
    said = {
        "AUTH": UserSignedIn(user_id=uuid4(), session_id=uuid4()),
        "TODOS": new_todo(uuid4()),
        "MAILER": MailSent(letter_id=uuid4(), kind="completion", cause=uuid4(), waited_ms=1),
    }
    feeds = [[diary.event(feed, uuid4(), at(each), data) for each in moments] for feed, data in said.items()]
    over = asyncio.Event()

    async def hear(events: list[Event]) -> None:
        memory = Memory()
        for event in events:
            async with diary.pool.acquire() as connection, connection.transaction():
                await keep(connection, [event], clock=diary.clock, memory=memory)

    async def open_() -> None:
        while not over.is_set():
            await open_months(diary.pool, diary.clock, 1)

    async with asyncio.TaskGroup() as group:
        opening = group.create_task(open_())
        async with asyncio.TaskGroup() as hearing:
            for events in feeds:
                hearing.create_task(hear(events))
        over.set()
        await opening
    months = [f"entry_{each[:4]}_{each[5:7]}" for each in moments for _ in said]
    assert await where(diary) == months
