"""Erasing a person in the log: data and type go; number, envelope and the hash of what it was stay."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from feeding import CODEC, PERSON, connection, context, create, created, log_ids

from events.command import Change, Command, Key, new_command
from events.ids import uuid7
from events.log import append_last
from events.sql import load
from local.fixtures import Database, until

SQL = load("events")
OTHER = UUID("018f0000-0000-7000-8000-000000000002")
SAID = UUID("018f0000-0000-7000-8000-0000000000ff")


def by(person: UUID, title: str = "of another") -> Command:
    todo = uuid7()
    return new_command(
        CODEC, context(), Change(aggregate=todo, expected=0, subject=person, events=[created(todo, title)])
    )


def key(person: UUID) -> Key:
    expires = datetime.now(UTC) + timedelta(hours=24)
    return Key(user_id=person, route="POST /todos", key="k", body_hash=b"b", answer=b"secret title", expires_at=expires)


async def forget(conn: asyncpg.Connection, person: UUID = PERSON) -> None:
    await conn.execute(SQL.forget, [person], [SAID])


async def rows(todos: Database) -> list[asyncpg.Record]:
    async with connection(todos.admin_url) as admin:
        return await admin.fetch("select * from events.log order by feed, seq")


async def test_an_erased_event_keeps_its_number_its_envelope_and_the_hash_of_what_it_was(todos: Database) -> None:
    async with connection(todos.url) as conn:
        await append_last(conn, "TODOS", create(title="secret title"))
        await append_last(conn, "TODOS", by(OTHER))
        before = await rows(todos)
        await forget(conn)
        assert await conn.fetchval(SQL.erase, PERSON, 100) == 1
        assert await conn.fetchval(SQL.erase, PERSON, 100) == 0, "what is erased is not erased again"
    erased, other = await rows(todos)
    assert (erased["type"], erased["data"]) == ("core.Erased.v1", "{}")
    assert erased["sha256"] == hashlib.sha256(before[0]["data"].encode()).digest()
    untouched = set(erased.keys()) - {"type", "data", "sha256"}
    assert {name: erased[name] for name in untouched} == {name: before[0][name] for name in untouched}
    assert other == before[1]


async def test_a_long_history_is_erased_in_batches_and_each_message_is_listed(todos: Database) -> None:
    async with connection(todos.url) as conn:
        for _ in range(7):
            await append_last(conn, "TODOS", create())
        await forget(conn)
        assert [await conn.fetchval(SQL.erase, PERSON, 3) for _ in range(4)] == [3, 3, 1, 0]
        listed = await conn.fetch("select seq from events.deletion order by seq")
    assert [row["seq"] for row in listed] == list(range(1, 8))


async def test_the_event_that_says_so_is_kept(todos: Database) -> None:
    async with connection(todos.url) as conn:
        said = create()
        await append_last(conn, "TODOS", said)
        await conn.execute(SQL.forget, [PERSON], [said.id])
        assert await conn.fetchval(SQL.erase, PERSON, 100) == 0
    [row] = await rows(todos)
    assert row["type"] == "todos.TodoCreated.v1"


async def test_nobody_is_erased_without_a_tombstone_and_no_trimmed_feed_is(todos: Database) -> None:
    async with connection(todos.url) as conn:
        await append_last(conn, "OTP", create())
        await append_last(conn, "TODOS", create())
        assert await conn.fetchval(SQL.erase, PERSON, 100) == 0
        await forget(conn)
        assert await conn.fetchval(SQL.erase, PERSON, 100) == 1
    assert [(row["feed"], row["sha256"] is None) for row in await rows(todos)] == [("OTP", True), ("TODOS", False)]


async def test_the_runtime_role_alone_erases_and_can_still_change_nothing_else(todos: Database) -> None:
    async with connection(todos.url) as conn:
        await append_last(conn, "TODOS", create())
        await forget(conn)
        for statement in (
            "update events.log set data = '{}'",
            "update events.log set sha256 = null",
            "delete from events.erasure",
            "update events.erasure set subject = gen_random_uuid()",
            "insert into events.erasure (subject, event_id) values (gen_random_uuid(), gen_random_uuid())",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)
    async with connection(todos.admin_url) as admin:
        await admin.execute("create role passer_by")
        try:
            for function in ("forget(uuid, uuid)", "erase(uuid, int)", "erased_among(uuid[])"):
                may = "select has_function_privilege('passer_by', $1, 'execute')"
                assert not await admin.fetchval(may, f"events.{function}")
        finally:
            await admin.execute("drop role passer_by")


async def test_what_is_said_about_an_erased_person_later_is_erased_before_anybody_reads_it(todos: Database) -> None:
    async with connection(todos.url) as conn:
        await forget(conn)
        await append_last(conn, "TODOS", create(title="secret title", key=key(PERSON)))
        await append_last(conn, "TODOS", by(OTHER))
        assert await conn.fetchval("select count(*) from events.idempotency") == 0
    erased, other = await rows(todos)
    assert (erased["type"], erased["data"], other["type"]) == ("core.Erased.v1", "{}", "todos.TodoCreated.v1")
    assert erased["sha256"] is not None
    assert len(await log_ids(todos)) == 2


async def test_a_write_under_way_commits_before_the_tombstone_or_sees_it(todos: Database) -> None:
    async with connection(todos.url) as writer, connection(todos.url) as eraser, connection(todos.admin_url) as admin:
        async with writer.transaction():
            await append_last(writer, "TODOS", create())
            forgetting = asyncio.create_task(forget(eraser))
            waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = $1"
            await until(lambda: admin.fetchval(waiting, todos.name))
        await forgetting
        assert await eraser.fetchval(SQL.erase, PERSON, 100) == 1


async def test_an_effect_under_way_commits_before_the_tombstone_or_sees_it(todos: Database) -> None:
    async with connection(todos.url) as hearer, connection(todos.url) as eraser, connection(todos.admin_url) as admin:
        async with hearer.transaction():
            assert await hearer.fetch(SQL.erased_among, [PERSON]) == []
            forgetting = asyncio.create_task(forget(eraser))
            waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = $1"
            await until(lambda: admin.fetchval(waiting, todos.name))
            assert not forgetting.done()
        await forgetting
        assert [row["subject"] for row in await hearer.fetch(SQL.erased_among, [PERSON, OTHER])] == [PERSON]


async def test_kept_answers_of_the_person_go_and_those_of_others_stay(todos: Database) -> None:
    async with connection(todos.url) as conn:
        for person in (PERSON, OTHER):
            await append_last(conn, "TODOS", new_command(CODEC, context(), key=key(person)))
        assert await conn.fetchval(SQL.answers_erase, PERSON, 10) == 1
        assert await conn.fetchval("select user_id from events.idempotency") == OTHER
