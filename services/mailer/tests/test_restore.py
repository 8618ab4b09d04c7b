"""A database that came back from a copy, its log's tail imported: what was sent since is settled, not sent again."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from mailing import CODEC, Post, asked, registered
from mailserver import MailServer
from planning import read_whole
from restoring import SHOWN, UNDER_WAY, copied, heard
from test_notices import LONG_AGO, alarm, toggled

from events.catalog.mailer import FailReason, MailSent
from events.catalog.todos import TodoOverdue, TodoToggled
from events.clock import system_clock
from events.command import Change, Context, new_command
from events.ids import uuid7
from events.log import append_last
from events.sql import load
from local.fixtures import until
from mailer.domain import Letter, failed, sent, settled_as

SETTLE = load("ops").settle_letters
INSERT = """
insert into letter (
    id, state, token, lease_until, kind, cause, subject, correlation_id, traceparent, happened_at, message_id, facts
)
values ($1, 'sending', gen_random_uuid(), now(), 'overdue', $2, $3, '', '', now(), '', '{}')
"""
MANY = """
insert into letter (id, kind, cause, subject, correlation_id, traceparent, happened_at, message_id, part_of)
select
    md5(n::text)::uuid, 'completion', md5('c' || n)::uuid, md5('s' || n / 10)::uuid, '', '', now(), '',
    case when n % 10 > 0 then md5((n - n % 10)::text)::uuid end
from generate_series(1, 20000) as n
"""


async def test_letters_that_were_sent_after_the_copy_was_made_are_settled_and_not_sent_again(
    post: Post, server: MailServer, by_smtp: dict[str, Any], free_port: Any, in_parts: None
):
    ada = registered()
    async with post.mailer(**by_smtp | {"smtp_port": free_port()}):
        causes = [await post.auth.say(ada), await post.auth.say(asked())]
        causes.append(await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id))
        await until(lambda: post.owner.fetchval("select count(*) = 3 from letter where attempts > 0"))
    copy = await copied(post)
    async with post.mailer(**by_smtp):
        for cause in causes:
            await post.settled(cause, "sent", within=20)
    ids = [cause.id for cause in causes]
    before = await post.owner.fetch(SHOWN, ids)
    await copy.restore_with_its_tail(UNDER_WAY)
    async with post.mailer(**by_smtp):
        await heard(post)
    assert len(server.mails) == len(causes) + 1
    assert await post.owner.fetch(SHOWN, ids) == before


@pytest.mark.parametrize("gathered", [True, False])
async def test_completions_that_were_told_in_one_letter_are_not_told_again(
    post: Post, server: MailServer, by_smtp: dict[str, Any], gathered: bool
):
    """In the copy they wait: as parts of a letter to somebody unknown yet, or each by itself for its minute to end."""
    ada, time = registered(), LONG_AGO if gathered else datetime.now(UTC)
    async with post.mailer(**by_smtp):
        causes = [
            await post.auth.say(toggled(), subject=ada.user_id, time=time + timedelta(microseconds=nr))
            for nr in range(3)
        ]
        waits = "part_of is not null" if gathered else "held_until is not null"
        await until(lambda: post.owner.fetchval(f"select count(*) >= 2 from letter where {waits}"))
        await until(lambda: post.owner.fetchval("select count(*) = 3 from letter"))
    copy = await copied(post)
    await post.change_letters("held_until = now() where held_until is not null")
    async with post.mailer(**by_smtp):
        for cause in (await post.auth.say(ada), *causes):
            await post.settled(cause, "sent")
    ids, mails = [cause.id for cause in causes], len(server.mails)
    before = await post.owner.fetch(SHOWN, ids)
    await copy.restore_with_its_tail(UNDER_WAY)
    async with post.mailer(**by_smtp):
        await heard(post)
    assert len(server.mails) == mails + 1
    assert await post.owner.fetch(SHOWN, ids) == before


async def test_what_a_letter_tells_in_the_copy_and_did_not_tell_in_truth_is_told(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    """After the copy was made its own to-do was reopened, so it expired; the other completion still waited."""
    ada, begun = registered(), LONG_AGO
    done = toggled("reopened")
    undone = TodoToggled(todo_id=done.todo_id, title=done.title, priority=3, completed=False)
    async with post.mailer(**by_smtp):
        first = await post.auth.say(done, subject=ada.user_id, time=begun)
        second = await post.auth.say(toggled("told"), subject=ada.user_id, time=begun + timedelta(seconds=1))
        await until(lambda: post.owner.fetchval("select true from letter where part_of is not null"))
    copy = await copied(post)
    await post.change_letters("held_until = now() + interval '1 minute' where held_until is not null")
    async with post.mailer(**by_smtp):
        await post.auth.say(undone, subject=ada.user_id)
        await post.settled(first, "expired")
    await copy.restore_with_its_tail(UNDER_WAY)
    async with post.mailer(**by_smtp):
        await post.auth.say(ada)
        await post.settled(second, "sent")
        assert (await post.settled(first))["state"] == "expired"
    [mail] = [mail for mail in server.mails if "told" in mail.get_body(("plain",)).get_content()]
    assert "reopened" not in mail.get_body(("plain",)).get_content()


async def test_each_end_that_the_log_tells_is_the_state_that_it_was_and_settled_once(post: Post):
    ends = {uuid7(): reason for reason in (None, *get_args(FailReason))}
    waiting = uuid7()
    for letter_id in (*ends, waiting):
        await post.owner.execute(INSERT, letter_id, uuid7(), uuid7())
    for letter_id, reason in ends.items():
        row = await post.owner.fetchrow("select * from letter where id = $1", letter_id)
        letter = Letter(**{name: row[name] for name in Letter.__struct_fields__})
        event = failed(letter, reason) if reason else sent(letter, system_clock())
        change = Change(aggregate=letter_id, expected=0, subject=letter.subject, events=[event])
        context = Context(time=system_clock(), correlation_id="", actor="system")
        async with post.owner.transaction():
            await append_last(post.owner, "MAILER", new_command(CODEC, context, change))
    await post.owner.execute(SETTLE, 1, len(ends))
    rows = await post.owner.fetch("select * from letter")
    assert {row["id"]: (row["state"], row["reason"]) for row in rows} == {
        **{each: (settled_as(reason) if reason else "sent", reason) for each, reason in ends.items()},
        waiting: ("sending", None),
    }
    told = dict(await post.owner.fetch("select aggregate, time from events.log"))
    assert {row["id"]: row["settled_at"] for row in rows} == {**told, waiting: None}
    assert {row["id"] for row in rows if row["token"]} == {waiting}
    await post.owner.execute(SETTLE, 1, len(ends))
    assert await post.owner.fetch("select * from letter") == rows


async def test_the_letters_that_a_tail_tells_of_are_found_by_index_however_many_there_are(post: Post):
    await post.owner.execute(MANY)
    await post.owner.execute("analyze letter")
    for nr in range(3):
        head, others = await _head_and_parts(post, nr)
        event = MailSent(letter_id=head["id"], kind="completion", cause=head["cause"], waited_ms=0, others=others)
        change = Change(aggregate=head["id"], expected=0, subject=head["subject"], events=[event])
        context = Context(time=system_clock(), correlation_id="", actor="system")
        async with post.owner.transaction():
            await append_last(post.owner, "MAILER", new_command(CODEC, context, change))
    [[text]] = await post.owner.fetch(f"explain (format json) {SETTLE}", 1, 3)
    assert read_whole(json.loads(text)[0]["Plan"]) == set()
    await post.owner.execute(SETTLE, 1, 3)
    assert await post.owner.fetchval("select count(*) from letter where state = 'sent'") == 30


async def _head_and_parts(post: Post, nr: int) -> tuple[Any, tuple[Any, ...]]:
    skipped = "where part_of is null order by id offset $1 limit 1"
    head = await post.owner.fetchrow(f"select * from letter {skipped}", nr)
    parts = await post.owner.fetch("select cause from letter where part_of = $1", head["id"])
    return head, tuple(part["cause"] for part in parts)
