"""Outcomes of codes that come together: one transaction, and each on its own where one of them is rejected."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from mailing import CODEC, Post, running

from events.catalog.mailer import MailResumed, MailSent
from events.clock import system_clock
from events.command import Change, Context, new_command
from events.errors import VersionConflict
from events.ids import uuid7
from events.log import append_last
from events.postgres import open_pool
from events.work import Row, WorkTable
from mailer.consumers import tell_resumed
from mailer.domain import sent
from mailer.outcomes import Outcomes
from mailer.tables import letter_of, refused

_COLUMNS = "id, due_at, kind, cause, subject, correlation_id, traceparent, happened_at, message_id, sealed"
_VALUES = "gen_random_uuid(), now(), 'code', gen_random_uuid(), $1, '', '', now(), '', 'k1.box'"


@asynccontextmanager
async def claimed(post: Post, count: int) -> AsyncIterator[tuple[list[Row], WorkTable, Outcomes]]:
    """So many codes that a worker has claimed; nothing settles them before `run` of the outcomes runs."""
    for _ in range(count):
        await post.owner.execute(f"insert into letter ({_COLUMNS}) values ({_VALUES})", uuid7())
    async with await open_pool(post.database.url, application="mailer") as pool:
        table = WorkTable("letter", pool)
        outcomes = Outcomes(pool, table, CODEC, system_clock, lambda: None)
        yield list(await table.claim(count)), table, outcomes


def settled(outcomes: Outcomes, rows: list[Row]) -> list[asyncio.Task[None]]:
    """Settle rows as sent, all of them waiting for their turn."""
    events = [sent(letter_of(row), system_clock(), []) for row in rows]
    return [asyncio.create_task(outcomes.settle(row, "sent", event)) for row, event in zip(rows, events, strict=True)]


async def test_codes_that_come_together_are_one_transaction_and_each_is_told_once(post: Post):
    async with claimed(post, 9) as (rows, _, outcomes):
        tasks = settled(outcomes, rows)
        await asyncio.sleep(0)
        async with running(outcomes.run):
            await asyncio.gather(*tasks)
    ended = await post.owner.fetch("select distinct state, sealed, token, xmin::text from letter")
    assert [tuple(row)[:3] for row in ended] == [("sent", None, None)], "and one transaction wrote them all"
    said = await post.said()
    assert {type(event) for event in said} == {MailSent}
    assert sorted(event.letter_id for event in said) == sorted(row["id"] for row in rows)


async def test_a_code_that_the_database_rejects_harms_none_that_came_with_it(post: Post):
    async with claimed(post, 5) as (rows, _, outcomes):
        rejected = rows[2]["id"]
        await post.owner.execute(f"alter table letter add check (id <> '{rejected}' or state <> 'sent')")
        tasks = settled(outcomes, rows)
        async with running(outcomes.run):
            errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in errors if error] == [asyncpg.CheckViolationError]
    states = dict(await post.owner.fetch("select id, state from letter"))
    assert states == {row["id"]: "claimed" if row["id"] == rejected else "sent" for row in rows}
    assert {event.letter_id for event in await post.said()} == states.keys() - {rejected}


async def test_a_code_whose_end_the_log_knows_already_harms_none_that_came_with_it(post: Post):
    """After a restore that lost the table's tail and kept the log's."""
    async with claimed(post, 3) as (rows, _, outcomes):
        known = new_command(
            CODEC,
            Context(time=system_clock(), correlation_id="", actor="system"),
            Change(
                aggregate=rows[0]["id"],
                expected=0,
                subject=rows[0]["subject"],
                events=[sent(letter_of(rows[0]), system_clock(), [])],
            ),
        )
        async with post.owner.transaction():
            await append_last(post.owner, "MAILER", known)
        tasks = settled(outcomes, rows)
        async with running(outcomes.run):
            errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in errors] == [VersionConflict, type(None), type(None)]
    states = dict(await post.owner.fetch("select id, state from letter"))
    assert states == {row["id"]: "claimed" if row is rows[0] else "sent" for row in rows}


async def test_after_a_restore_an_address_has_the_number_that_the_log_says(post: Post):
    """Its row is as it was before it was let go; what was told of it since is in the log."""
    person, day = uuid7(), timedelta(days=1)
    await post.owner.execute(
        "insert into contact (user_id, sealed_contact, registered_at) values ($1, 'k1.box', now())", person
    )

    async def refuse(times: int) -> int | None:
        told = [await refused(post.owner, person, system_clock() - (times - nr) * day) for nr in range(times)]
        return told[-1]

    async def resume() -> list[UUID]:
        async with post.owner.transaction():
            return list(await tell_resumed(post.owner, {person: system_clock()}, system_clock, actor="system"))

    assert await refuse(3) == 1
    await post.owner.execute("update contact set address_version = 0")
    assert await resume() == [person]
    assert await refuse(3) == 2
    await post.owner.execute("update contact set address_version = 0")
    assert await resume() == [person]
    assert [type(said) for said in await post.said()] == [MailResumed] * 2


async def test_who_lost_the_claim_meanwhile_writes_and_tells_nothing(post: Post):
    async with claimed(post, 4) as (rows, table, outcomes):
        lost = rows[1]
        assert await table.retry(lost, None, after=0)
        [again] = await table.claim(1)
        tasks = settled(outcomes, rows)
        async with running(outcomes.run):
            await asyncio.gather(*tasks)
        assert again["id"] == lost["id"]
    states = dict(await post.owner.fetch("select id, state from letter"))
    assert states == {row["id"]: "claimed" if row["id"] == lost["id"] else "sent" for row in rows}
    assert {event.letter_id for event in await post.said()} == states.keys() - {lost["id"]}


@pytest.mark.parametrize("count", [1, 40])
async def test_as_many_are_marked_by_one_statement_as_still_hold_their_claim(post: Post, count: int):
    async with claimed(post, count) as (rows, table, _):
        assert await table._mark(rows) == [True] * count
        assert await table._mark(rows) == [False] * count, "a mark is made once"
