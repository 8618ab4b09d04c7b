"""The log: numbers without a hole, each command whole or absent, one answer to a repeat."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest
from feeding import FEED, PERSON, connection, create, log_ids, running, toggle
from prometheus_client import REGISTRY

import events.log
from events.command import Key
from events.errors import BadCommand, KeyReused, OutcomeUnknown, Overloaded, Unavailable, VersionConflict
from events.ids import uuid7
from events.log import Log, append_all_last, append_last
from events.migrate import migrate
from events.postgres import dialer
from local.fixtures import Database, until
from local.postgres import Postgres


def a_log(todos: Database, **options: object) -> Log:
    return Log("TODOS", dialer(todos.url, application="test"), **options)


def key(name: str = "k1", body: bytes = b"b", answer: bytes = b"the answer") -> Key:
    expires = datetime.now(UTC) + timedelta(hours=24)
    return Key(user_id=PERSON, route="POST /todos", key=name, body_hash=body, answer=answer, expires_at=expires)


async def test_events_get_numbers_from_one_without_a_hole(todos: Database) -> None:
    log = a_log(todos)
    async with running(log.run):
        answers = await asyncio.gather(*(log.append(create()) for _ in range(200)))
    assert sorted(answer.position for answer in answers) == list(range(1, 201))
    assert [seq for seq, _ in await log_ids(todos)] == list(range(1, 201))


async def test_a_command_of_several_events_takes_successive_numbers_and_versions(todos: Database) -> None:
    log = a_log(todos)
    todo = uuid7()
    async with running(log.run):
        answer = await log.append(create(todo, events=3))
    assert answer.position == 3
    async with connection(todos.admin_url) as conn:
        rows = await conn.fetch("select seq, version from events.log where aggregate = $1 order by seq", todo)
    assert [tuple(row) for row in rows] == [(1, 1), (2, 2), (3, 3)]


async def test_a_stale_command_is_refused_alone(todos: Database) -> None:
    log = a_log(todos)
    todo = uuid7()
    async with running(log.run):
        await log.append(create(todo))
        outcomes = await asyncio.gather(
            log.append(create()), log.append(toggle(todo, 7)), log.append(create()), return_exceptions=True
        )
        assert isinstance(outcomes[1], VersionConflict)
        assert [seq for seq, _ in await log_ids(todos)] == [1, 2, 3]


async def test_of_many_that_are_appended_at_the_end_of_a_transaction_a_stale_one_is_refused_alone(
    todos: Database,
) -> None:
    todo = uuid7()
    async with connection(todos.url) as conn:
        assert await append_all_last(conn, "TODOS", [create(todo), create()]) == [True, True]
        assert await append_all_last(conn, "TODOS", [create(), create(todo), create()]) == [True, False, True]
        assert await append_all_last(conn, "TODOS", []) == []
    assert [seq for seq, _ in await log_ids(todos)] == [1, 2, 3, 4]


async def test_of_two_commands_on_one_version_one_wins(todos: Database) -> None:
    log = a_log(todos)
    todo = uuid7()
    async with running(log.run):
        await log.append(create(todo))
        outcomes = await asyncio.gather(*(log.append(toggle(todo, 1)) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 19
    assert len(await log_ids(todos)) == 2


async def test_commands_on_one_aggregate_that_come_together_are_appended_in_turn(todos: Database) -> None:
    log = a_log(todos)
    todo = uuid7()
    async with running(log.run):
        await log.append(create(todo))
        answers = await asyncio.gather(*(log.append(toggle(todo, version)) for version in range(1, 20)))
    assert [answer.position for answer in answers] == list(range(2, 21))


async def test_the_same_command_again_gets_the_same_answer_and_stores_nothing(todos: Database) -> None:
    log = a_log(todos)
    command = create(events=2)
    async with running(log.run):
        first = await log.append(command)
        await log.append(create())
        assert await log.append(command) == first
    assert len(await log_ids(todos)) == 3


async def test_a_bad_command_harms_no_other_of_its_group(todos: Database) -> None:
    log = a_log(todos)
    async with running(log.run):
        outcomes = await asyncio.gather(
            *(log.append(create(title="a\0b" if nr == 5 else "fine")) for nr in range(10)), return_exceptions=True
        )
    assert [isinstance(outcome, BadCommand) for outcome in outcomes] == [nr == 5 for nr in range(10)]
    assert [seq for seq, _ in await log_ids(todos)] == list(range(1, 10))


async def test_an_event_id_that_another_command_used_is_refused_alone(todos: Database) -> None:
    log = a_log(todos)
    first, second = create(), create(events=2)
    stolen = msgspec.structs.replace(second.events[1], id=first.id)
    second = msgspec.structs.replace(second, events=(second.events[0], stolen))
    async with running(log.run):
        outcomes = await asyncio.gather(
            log.append(first), log.append(second), log.append(create()), return_exceptions=True
        )
    assert isinstance(outcomes[1], BadCommand)
    assert [seq for seq, _ in await log_ids(todos)] == [1, 2]


async def test_a_known_key_answers_with_what_was_stored_before_any_version_is_looked_at(todos: Database) -> None:
    log = a_log(todos)
    todo = uuid7()
    async with running(log.run):
        await log.append(create(todo))
        first = await log.append(toggle(todo, 1, key=key()))
        again = await log.append(toggle(todo, 1, key=key(answer=b"another")))
        decided_anew = await log.append(toggle(todo, 2, key=key(answer=b"another")))
        assert first.replayed is None
        assert again.replayed == decided_anew.replayed == b"the answer"
        assert again.position == decided_anew.position == first.position
        with pytest.raises(KeyReused):
            await log.append(toggle(todo, 2, key=key(body=b"other")))
    assert len(await log_ids(todos)) == 2


async def test_a_key_is_kept_also_when_nothing_happened(todos: Database) -> None:
    log = a_log(todos)
    silent = msgspec.structs.replace(create(key=key(answer=b"already so")), id=uuid7(), events=())
    async with running(log.run):
        assert (await log.append(silent)).replayed is None
        assert (await log.append(create(key=key()))).replayed == b"already so"
    assert await log_ids(todos) == []


async def test_an_expired_key_counts_as_new(todos: Database) -> None:
    log = a_log(todos)
    old = msgspec.structs.replace(key(), expires_at=datetime.now(UTC) - timedelta(seconds=1))
    async with running(log.run):
        await log.append(create(key=old))
        assert (await log.append(create(key=key(answer=b"new")))).replayed is None
        assert (await log.append(create(key=key()))).replayed == b"new"


async def test_a_full_queue_refuses_instead_of_growing(todos: Database) -> None:
    log = a_log(todos, waiting_max=3)
    waiting = [asyncio.create_task(log.append(create())) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await log.append(create())
    async with running(log.run):
        await asyncio.gather(*waiting)


async def test_a_queue_full_of_bytes_refuses_instead_of_growing(
    todos: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.log, "WAITING_BYTES", 10_000)
    log = a_log(todos)
    large = create(title="x" * 6_000)
    waiting = asyncio.create_task(log.append(large))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await log.append(create(title="x" * 6_000))
    async with running(log.run):
        assert (await waiting).position == 1
        assert (await log.append(create(title="x" * 6_000))).position == 2


async def test_a_group_that_takes_too_long_is_appended_in_parts(todos: Database) -> None:
    """Each row takes 50 ms, the role's patience is 0.3 s: thirty at once would be tried for ever."""
    async with connection(todos.owner_url) as owner:
        await owner.execute(SLOW_ROWS)
    log = Log("TODOS", dialer(todos.url + "?statement_timeout=300", application="test"), deadline=30.0)
    commands = [create() for _ in range(30)]
    tasks = [asyncio.create_task(log.append(command)) for command in commands]
    await asyncio.sleep(0)
    async with running(log.run):
        answers = await asyncio.gather(*tasks)
    assert [answer.position for answer in answers] == list(range(1, 31))
    assert [stored for _, stored in await log_ids(todos)] == [str(command.id) for command in commands]


SLOW_ROWS = """
create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.05); return new; end $$;
create trigger slow before insert on events.log for each row execute function slow();
"""


async def test_what_waits_is_told_also_while_the_lane_stands_still(todos: Database) -> None:
    log = a_log(todos)
    async with running(log.run), connection(todos.owner_url) as holder:
        await log.append(create())
        async with holder.transaction():
            await holder.execute("select from events.feed where name = 'TODOS' for update")
            on_its_way = asyncio.create_task(log.append(create()))
            await until(lambda: _waits_for_the_counter(holder))
            waiting = [asyncio.create_task(log.append(create())) for _ in range(5)]
            await until(lambda: waiting_now() == 5)
        await asyncio.gather(on_its_way, *waiting)
    assert waiting_now() == 0


async def _waits_for_the_counter(holder: asyncpg.Connection) -> bool:
    return bool(await holder.fetchval("select exists (select from pg_locks where not granted)"))


def waiting_now() -> float:
    return REGISTRY.get_sample_value("todo_append_waiting_commands", {"feed": "TODOS"}) or 0


async def test_a_cancelled_request_harms_no_other(todos: Database) -> None:
    log = a_log(todos)
    async with running(log.run):
        tasks = [asyncio.create_task(log.append(create())) for _ in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(answered) == 66
    seqs = [seq for seq, _ in await log_ids(todos)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert {answer.position for answer in answered} <= set(seqs)


async def test_killed_connections_lose_and_double_nothing(todos: Database) -> None:
    log = a_log(todos, deadline=20.0)
    async with running(log.run), connection(todos.admin_url) as admin:
        commands = [create() for _ in range(2000)]
        tasks = [asyncio.create_task(log.append(command)) for command in commands]
        for _ in range(15):
            await asyncio.sleep(0.02)
            await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'events'")
        answers = await asyncio.gather(*tasks)
    assert sorted(answer.position for answer in answers) == list(range(1, 2001))
    stored = dict(await log_ids(todos))
    assert all(stored[answer.position] == str(command.id) for answer, command in zip(answers, commands, strict=True))


async def test_a_commit_that_outlasts_the_deadline_is_unknown_and_a_repeat_gets_its_answer(todos: Database) -> None:
    log = a_log(todos, deadline=0.3)
    async with running(log.run), connection(todos.owner_url) as holder:
        await log.append(create())
        command = create()
        async with holder.transaction():
            await holder.execute("select from events.feed where name = 'TODOS' for update")
            with pytest.raises(OutcomeUnknown):
                await log.append(command)
        answer = await until_answered(log, command)
    assert answer == 2
    assert [stored for _, stored in await log_ids(todos)].count(str(command.id)) == 1


async def until_answered(log: Log, command: object) -> int:
    async def attempt() -> int:
        try:
            return (await log.append(command)).position
        except OutcomeUnknown:
            return 0

    return await until(attempt)


async def test_a_database_that_is_away_is_unavailable_and_comes_back_without_a_restart(
    own_postgres: Postgres,
) -> None:
    own_postgres.create_database("events", service="events")
    async with connection(own_postgres.url("events", "events_owner")) as owner:
        await migrate(owner, "events", role="events", feeds=[FEED])
    log = Log("TODOS", dialer(own_postgres.url("events", "events"), application="test"), deadline=1.0)
    async with running(log.run):
        assert (await log.append(create())).position == 1
        own_postgres.kill()
        await until(lambda: log.check().state == "failed")
        with pytest.raises(Unavailable):
            await log.append(create())
        own_postgres.start()
        await until(lambda: log.check().state == "ok")
        assert (await log.append(create())).position >= 2


async def test_append_refuses_a_session_that_does_not_wait_for_the_disk(todos: Database) -> None:
    async with connection(todos.url) as conn:
        await conn.execute("set synchronous_commit = off")
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await append_last(conn, "TODOS", create())
        await conn.execute("set synchronous_commit = on")
        async with conn.transaction(isolation="repeatable_read"):
            with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
                await append_last(conn, "TODOS", create())


async def test_append_as_the_last_statement_of_a_transaction_shares_its_fate(todos: Database) -> None:
    async with connection(todos.url) as conn:
        transaction = conn.transaction()
        await transaction.start()
        await append_last(conn, "TODOS", create())
        await transaction.rollback()
        async with conn.transaction():
            assert (await append_last(conn, "TODOS", create())).position == 1
        with pytest.raises(VersionConflict):
            await append_last(conn, "TODOS", toggle(uuid7(), 4))


async def test_the_runtime_role_can_neither_change_nor_forge_the_log(todos: Database) -> None:
    async with connection(todos.url) as conn:
        await append_last(conn, "TODOS", create())
        for statement in (
            "update events.log set data = '{}'",
            "delete from events.log",
            "insert into events.log select * from events.log",
            "update events.feed set last_seq = 0",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)


async def test_the_runtime_role_trims_the_feed_declared_so_and_no_other(todos: Database) -> None:
    async with connection(todos.url) as conn:
        for feed in ("TODOS", "OTP"):
            for _ in range(3):
                await append_last(conn, feed, create())
        trimmed = [await conn.fetchval("select events.trim($1, 'infinity', 1000)", feed) for feed in ("TODOS", "OTP")]
    assert trimmed == [0, 2], "the last row of a trimmed feed stays: its number goes on"
    assert len(await log_ids(todos)) == 3
