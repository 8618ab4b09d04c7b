"""A letter that waits is not sent once what it says is no longer true."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from mailing import Post
from mailserver import MailServer
from test_holding import freed, parts
from test_holding import held as held_letters
from test_notices import alarm, toggled
from test_quiet import clock as clock_file
from test_quiet import known, move, quiet_now

from events.catalog.mailer import MailFailed
from events.catalog.todos import TodoDeleted, TodoDueSoon, TodoEdited, TodoOverdue, TodoToggled
from events.envelope import Envelope
from events.ids import uuid7
from events.postgres import open_pool
from local.fixtures import until
from mailer.tables import expire_stale, parts_of, settle_parts

clock = clock_file
FACTS: dict[str, Any] = {"title": "우유 사기", "priority": 3}


def done(todo_id: UUID, *, completed: bool = True) -> TodoToggled:
    return TodoToggled(todo_id=todo_id, completed=completed, **FACTS)


ENDS: dict[str, Callable[[UUID], Any]] = {
    "completed": done,
    "deleted": lambda todo_id: TodoDeleted(todo_id=todo_id, completed=False, **FACTS),
    "moved": lambda todo_id: TodoEdited(todo_id=todo_id, due_at=datetime.now(UTC) + timedelta(days=3)),
}


async def held(post: Post, cause: Envelope) -> Any:
    query = "select * from letter where cause = $1 and held_until is not null"
    return await until(lambda: post.owner.fetchrow(query, cause.id))


@pytest.mark.parametrize("end", ENDS)
async def test_a_reminder_that_is_held_overnight_is_not_sent_once_its_to_do_is_done_gone_or_moved(
    post: Post, by_smtp: dict[str, Any], clock: Any, end: str
):
    async with post.mailer(**by_smtp, clock_file=str(clock)):
        ada = await known(post, **quiet_now())
        reminders = [alarm(TodoOverdue, due_in=-5), alarm(TodoDueSoon, due_in=8 * 3600), alarm(TodoOverdue, due_in=-5)]
        causes = [await post.auth.say(reminder, subject=ada.user_id) for reminder in reminders]
        for cause in causes:
            await held(post, cause)
        for reminder in reminders[:2]:
            await post.auth.say(ENDS[end](reminder.todo_id), subject=ada.user_id)
        for cause in causes[:2]:
            await post.settled(cause, "expired")
        move(clock, hours=3.1)
        await post.settled(causes[2], "sent")
    query = "select cause from letter where state = 'sent' and kind in ('due_soon', 'overdue')"
    assert [row["cause"] for row in await post.owner.fetch(query)] == [causes[2].id]
    told = {said.cause: said.reason for said in await post.said() if isinstance(said, MailFailed)}
    assert told == {cause.id: "expired" for cause in causes[:2]}


async def test_a_reminder_that_comes_after_its_to_do_was_moved_is_sent(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    reminder = alarm(TodoOverdue, due_in=-5)
    async with post.mailer(**by_smtp):
        ada = await known(post)
        for _ in range(2):
            await post.auth.say(ENDS["moved"](reminder.todo_id), subject=ada.user_id, time=reminder.due_at)
        await post.settled(await post.auth.say(reminder, subject=ada.user_id), "sent")
    assert len(server.mails) == 2


async def test_a_completion_that_was_undone_before_it_was_told_is_not_told(
    post: Post, server: MailServer, by_smtp: dict[str, Any], clock: Any
):
    async with post.mailer(**by_smtp, clock_file=str(clock)):
        ada = await known(post)
        undone = toggled("빵 굽기")
        causes = [await post.auth.say(each, subject=ada.user_id) for each in (undone, toggled("우유 사기"))]
        await post.auth.say(done(undone.todo_id, completed=False), subject=ada.user_id)
        await post.settled(causes[0], "expired")
        move(clock, hours=0.1)
        await post.settled(causes[1], "sent")
    _, completion = server.mails
    text = completion.get_body(("plain",)).get_content()
    assert "우유 사기" in text
    assert "빵 굽기" not in text


async def expire(post: Post, letter: UUID) -> None:
    """Say that what a letter tells is untrue since now."""
    todo = await post.owner.fetchval("select todo_id from letter where id = $1", letter)
    url = post.database.url
    async with await open_pool(url, application="mailer") as pool, pool.acquire() as one, one.transaction():
        await expire_stale(one, {(todo, "completion"): datetime.now(UTC)})


async def gathered(post: Post, state: str = "queued") -> list[UUID]:
    """Three completions in one letter, the first of them."""
    letters = await held_letters(post, uuid7(), 3)
    assert await freed(post) == 1
    await post.owner.execute("update letter set state = $2 where id = $1", letters[0], state)
    return letters


async def test_an_undone_completion_that_tells_others_gives_them_back(post: Post):
    letters = await gathered(post)
    await expire(post, letters[0])
    assert await freed(post) == 1
    assert await parts(post) == {letters[0]: None, letters[1]: None, letters[2]: letters[1]}
    lives = await post.owner.fetchval("select expires_at > now() from letter where id = $1", letters[1])
    assert lives, "as long as the letter that was to tell it"


async def test_an_undone_completion_that_another_was_to_tell_is_left_out(post: Post):
    letters = await gathered(post)
    await expire(post, letters[1])
    async with await open_pool(post.database.url, application="mailer") as pool:
        assert len(await parts_of(pool, letters[0])) == 1
        row = await pool.fetchrow("select * from letter where id = $1", letters[0])
        assert row is not None
        await settle_parts(pool, row, "sent")
    states = await post.owner.fetch("select state from letter order by happened_at")
    assert [row["state"] for row in states] == ["queued", "queued", "sent"]


@pytest.mark.parametrize("state", ["claimed", "sending"])
async def test_a_letter_that_is_on_its_way_keeps_what_it_tells(post: Post, state: str):
    letters = await gathered(post, state)
    for letter in letters:
        await expire(post, letter)
    async with await open_pool(post.database.url, application="mailer") as pool:
        assert len(await parts_of(pool, letters[0])) == 2
