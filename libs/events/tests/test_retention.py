"""What must not outlive its purpose: dropped in batches, each minute, also after the database was away."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest
from feeding import PERSON, connection, running
from prometheus_client import REGISTRY

import events.retention
from events.errors import Unavailable
from events.retention import Retention, drop_answers
from local.fixtures import Database, until

KEPT = """
insert into events.idempotency (user_id, route, key, body_hash, answer, position, expires_at)
select $1, 'POST /todos', prefix || nr, '', 'what was answered', 1, expires_at
from unnest($2::text[], $3::timestamptz[]) as t (prefix, expires_at), generate_series(1, 25) as nr
"""


async def keep(todos: Database) -> None:
    """25 answers whose time is over, 25 that still count."""
    now = datetime.now(UTC)
    async with connection(todos.owner_url) as owner:
        times = [now - timedelta(seconds=1), now + timedelta(hours=1)]
        await owner.execute(KEPT, PERSON, ["old", "new"], times)


async def kept(todos: Database) -> set[str]:
    async with connection(todos.owner_url) as owner:
        rows = await owner.fetch("select rtrim(key, '0123456789'), count(*) from events.idempotency group by 1")
    return {f"{count} {prefix}" for prefix, count in rows}


async def test_answers_go_when_their_keys_expire_and_not_before(
    todos: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.retention, "BATCH", 10)
    await keep(todos)
    before = counted("answers")
    async with asyncpg.create_pool(todos.url, min_size=0) as pool:
        await Retention({"answers": partial(drop_answers, pool)}).drop()
    assert await kept(todos) == {"25 new"}
    assert counted("answers") - before == 25


def counted(what: str) -> float:
    """What the metric says."""
    return REGISTRY.get_sample_value("todo_dropped_rows_total", {"what": what}) or 0


async def test_a_database_that_was_away_is_tried_again(todos: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events.retention, "EVERY", 0.05)
    tries = 0

    async def away(_: int) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ConnectionRefusedError
        return 0

    async with running(Retention({"nothing": away}).run):
        await until(lambda: tries >= 2)


async def test_a_drop_that_appends_may_find_the_log_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events.retention, "EVERY", 0.05)
    tries = 0

    async def away() -> None:
        raise Unavailable("the database does not answer")

    async def purge(_: int) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            async with asyncio.TaskGroup() as group:
                group.create_task(away())
        return 0

    async with running(Retention({"purged": purge}).run):
        await until(lambda: tries >= 2)


async def test_a_drop_that_fails_keeps_no_other_waiting() -> None:
    dropped: list[int] = []

    async def forbidden(_: int) -> int:
        raise asyncpg.InsufficientPrivilegeError("permission denied")

    async def drop(limit: int) -> int:
        dropped.append(limit)
        return 0

    with pytest.raises(ExceptionGroup, match="not everything was dropped"):
        await Retention({"forbidden": forbidden, "rows": drop}).drop()
    assert dropped
