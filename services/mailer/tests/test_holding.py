"""Held letters become due by the batch; completions are told together, each in one letter and in no other."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from mailing import Post

from events.ids import uuid7
from events.postgres import open_pool
from events.work import lasting
from mailer.tables import release

HELD = """
insert into letter (
    id, due_at, expires_at, kind, cause, subject, correlation_id, traceparent, happened_at, message_id, facts,
    held_until, part_of, todo_id
)
select
    gen_random_uuid(), 'infinity', case when $4::uuid is null then $3::timestamptz end, $2,
    gen_random_uuid(), $1, '-', '-',
    now() - interval '1 hour' + make_interval(secs => nr), '', $6, case when $4::uuid is null then now() end, $4,
    gen_random_uuid()
from generate_series(1, $5) nr
returning id
"""
TOMORROW = datetime.now(UTC) + timedelta(days=1)
TODO = json.dumps({"todo_id": str(uuid7()), "title": "우유 사기", "priority": 3, "completed": True})


async def held(
    post: Post,
    person: UUID,
    count: int = 1,
    *,
    kind: str = "completion",
    expires_at: datetime = TOMORROW,
    part_of: UUID | None = None,
) -> list[UUID]:
    """Letters that are held until now, or that another tells already; each a second later than the one before."""
    rows = await post.owner.fetch(HELD, person, kind, expires_at, part_of, count, TODO)
    return [row["id"] for row in rows]


async def freed(post: Post, limit: int = 1000) -> int:
    async with await open_pool(post.database.url, application="mailer") as pool:
        return await release(pool, datetime.now(UTC), limit)


async def parts(post: Post) -> dict[UUID, UUID | None]:
    return {row["id"]: row["part_of"] for row in await post.owner.fetch("select id, part_of from letter")}


async def test_a_letter_that_told_others_and_is_held_anew_takes_them_along(post: Post):
    person = uuid7()
    [first] = await held(post, person)
    [second] = await held(post, person)
    [third] = await held(post, person, part_of=second)
    assert await freed(post) == 1
    assert await parts(post) == {first: None, second: first, third: first}


async def test_a_letter_tells_a_hundred_completions_and_another_the_rest(post: Post):
    letters = await held(post, uuid7(), 250)
    assert await freed(post) == 3
    told = await parts(post)
    heads = [letters[0], letters[100], letters[200]]
    assert [letter for letter, head in told.items() if head is None] == heads
    assert [list(told.values()).count(head) for head in heads] == [99, 99, 49]


async def test_what_has_expired_is_left_out_and_what_lives_longest_says_how_long_the_letter_does(post: Post):
    person, now = uuid7(), datetime.now(UTC)
    [over] = await held(post, person, expires_at=now)
    [head] = await held(post, person, expires_at=now + timedelta(minutes=1))
    [other] = await held(post, person)
    assert await freed(post) == 1
    assert await parts(post) == {over: None, head: None, other: head}
    assert await post.owner.fetchval("select expires_at from letter where id = $1", head) == TOMORROW


async def test_what_is_held_becomes_due_by_the_batch(post: Post):
    await held(post, uuid7(), 5, kind="overdue")
    assert [await freed(post, 2) for _ in range(4)] == [2, 2, 1, 0]


async def test_a_letter_that_is_being_settled_is_not_gathered_into(post: Post):
    person = uuid7()
    [first] = await held(post, person)
    [second] = await held(post, person)
    other = await asyncpg.connect(post.database.owner_url)
    try:
        async with other.transaction():
            await other.execute("select from letter where id = $1 for update", first)
            assert await freed(post) == 1
    finally:
        await other.close()
    assert await parts(post) == {first: None, second: None}


async def test_an_outcome_that_the_database_rejects_for_good_is_not_written_again(monkeypatch: pytest.MonkeyPatch):
    """An outcome that fits into no event would else be written until its lease ends, in line with all others."""
    monkeypatch.setattr("events.work.AGAIN", 0.0)
    errors: list[Exception] = [OSError(), asyncpg.QueryCanceledError(), asyncpg.CheckViolationError()]

    async def write() -> None:
        raise errors.pop(0)

    with pytest.raises(asyncpg.CheckViolationError):
        await lasting({"id": uuid7()}, write)
    assert errors == []
