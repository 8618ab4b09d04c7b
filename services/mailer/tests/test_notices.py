"""News in letters: one letter an event and kind, to whom it concerns, in their words, as long as it is news."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from mailing import RECIPIENT, Post, asked, registered
from mailserver import MailServer

from events.catalog.activity import Figures, ReportReady
from events.catalog.auth import ProfileChanged, UserErased
from events.catalog.mailer import MailSent
from events.catalog.todos import TodoDueSoon, TodoOverdue, TodoToggled
from events.ids import uuid7
from events.postgres import open_pool
from events.work import WorkTable
from local.fixtures import until
from mailer.domain import LIVES, notice_of
from mailer.tables import TURN

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
RETENTION = timedelta(days=30)


def toggled(title: str = "우유 사기", *, completed: bool = True) -> TodoToggled:
    return TodoToggled(todo_id=uuid7(), title=title, priority=3, completed=completed)


def alarm(kind: Any, *, due_in: float = 3600, title: str = "우유 사기") -> Any:
    due_at = datetime.now(UTC) + timedelta(seconds=due_in)
    return kind(todo_id=uuid7(), title=title, priority=3, due_at=due_at, due_zone=None)


def report(user_id: UUID, period: Any = "week") -> ReportReady:
    days = 7 if period == "week" else 30
    figures = Figures(created=4, completed=3, completion_rate=0.75, streak=2, busiest_hours=(9, 21), overdue=1)
    start = datetime(2026, 11, 16, tzinfo=UTC)
    return ReportReady(
        user_id=user_id,
        period=period,
        start=start,
        end=start + timedelta(days=days),
        timezone="UTC",
        figures=figures,
        previous=None,
    )


EVENTS = {
    "completion": lambda user_id: toggled(),
    "due_soon": lambda user_id: alarm(TodoDueSoon),
    "overdue": lambda user_id: alarm(TodoOverdue, due_in=-5),
    "weekly_report": report,
    "monthly_report": lambda user_id: report(user_id, "month"),
}
LONG_AGO = datetime.now(UTC) - timedelta(minutes=2)
"""Past the time in which completions are gathered."""


@pytest.mark.parametrize("kind", EVENTS)
async def test_each_kind_of_news_becomes_one_letter_in_the_language_of_its_person(
    post: Post, server: MailServer, by_smtp: dict[str, Any], kind: str
):
    ada = registered()
    async with post.mailer(**by_smtp):
        welcome = await post.auth.say(ada)
        await post.settled(welcome, "sent")
        await post.auth.say(ProfileChanged(user_id=ada.user_id, locale="en", name="Ada 김"))
        await until(lambda: post.owner.fetchval("select true from contact where locale = 'en'"))
        cause = await post.auth.say(EVENTS[kind](ada.user_id), subject=ada.user_id, time=LONG_AGO)
        letter = await post.settled(cause, "sent")
    first, second = server.mails
    assert "환영합니다" in first["Subject"]
    assert second["To"] == f"Ada 김 <{RECIPIENT}>"
    assert "Hello Ada 김!" in second.get_body(("plain",)).get_content()
    assert second["Message-ID"] == letter["message_id"]
    assert (letter["kind"], letter["facts"], letter["sealed"]) == (kind, None, None)
    said = (await post.said())[-1]
    assert isinstance(said, MailSent)
    assert (said.kind, said.cause, said.others) == (kind, cause.id, ())


async def test_a_letter_waits_for_its_person_to_be_known(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    ada = registered()
    cause = await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id)
    async with post.mailer(**by_smtp):
        await until(lambda: post.owner.fetchval("select true from letter where held_until is not null"))
        await post.auth.say(ada)
        letter = await post.settled(cause, "sent")
    assert letter["attempts"] == 1, "the mail server was asked once"
    assert {mail["To"] for mail in server.mails} == {RECIPIENT}


async def test_a_letter_to_an_erased_person_ends(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    ada, eve = registered(), registered()
    await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id)
    async with post.mailer(**by_smtp):
        await until(lambda: post.owner.fetchval("select true from letter where held_until is not null"))
        await post.auth.say(UserErased(user_id=ada.user_id))
        await until(lambda: post.owner.fetchval("select count(*) = 0 from letter"))
        await post.settled(await post.auth.say(eve), "sent")
    assert len(server.mails) == 1


async def test_hearing_every_feed_again_sends_nothing(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    ada = registered()
    async with post.mailer(**by_smtp):
        causes = [await post.auth.say(ada)]
        causes += [
            await post.auth.say(make(ada.user_id), subject=ada.user_id, time=LONG_AGO) for make in EVENTS.values()
        ]
        for cause in causes:
            await post.settled(cause, "sent")
    mails = len(server.mails)
    await post.owner.execute("delete from events.checkpoint")
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(asked()), "sent")
        await until(lambda: heard_all(post))
    assert len(server.mails) == mails + 1
    assert await post.owner.fetchval("select count(*) from letter") == len(causes) + 1


async def test_letters_that_a_restored_database_lacks_are_not_sent_again_once_its_log_has_its_tail(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    ada = registered()
    async with post.mailer(**by_smtp):
        causes = [await post.auth.say(ada)]
        causes += [await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id)]
        for cause in causes:
            await post.settled(cause, "sent")
    mails = len(server.mails)
    await post.owner.execute("delete from events.checkpoint; delete from letter")
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(asked()), "sent")
        await until(lambda: heard_all(post))
    assert len(server.mails) == mails + 1
    assert await post.owner.fetchval("select count(*) from letter") == 1


async def test_a_letter_that_the_clean_up_dropped_is_not_written_again(post: Post):
    old = datetime.now(UTC) - RETENTION
    ada = registered()
    async with post.mailer():
        await post.auth.say(ada, time=old)
        for make in EVENTS.values():
            await post.auth.say(make(ada.user_id), subject=ada.user_id, time=old)
        await until(lambda: heard_all(post))
    assert await post.owner.fetchval("select count(*) from letter") == 0


async def heard_all(post: Post) -> bool:
    """Whether every feed was heard up to what was said in it."""
    heard = await post.owner.fetch("select feed, seq from events.checkpoint")
    return post.auth.counts.items() <= {row["feed"]: row["seq"] for row in heard}.items()


def test_every_kind_of_news_is_over_before_its_row_is_dropped():
    assert max(LIVES.values()) < RETENTION


def test_a_reminder_ends_at_its_deadline_and_a_reopened_to_do_is_no_news():
    soon = alarm(TodoDueSoon, due_in=60)
    notice = notice_of(soon, datetime.now(UTC))
    assert notice is not None
    assert notice.expires_at == soon.due_at
    assert notice_of(toggled(completed=False), NOW) is None


async def test_completions_in_a_short_time_are_told_in_one_letter(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    ada, eve = registered(), registered()
    begun = datetime.now(UTC) - timedelta(seconds=57)
    async with post.mailer(**by_smtp):
        for person in (ada, eve):
            await post.settled(await post.auth.say(person), "sent")
        causes = [
            await post.auth.say(toggled(f"todo {nr}"), subject=ada.user_id, time=begun + timedelta(seconds=nr))
            for nr in range(5)
        ]
        other = await post.auth.say(toggled("of somebody else"), subject=eve.user_id, time=begun)
        for cause in (*causes, other):
            await post.settled(cause, "sent")
    assert len(server.mails) == 4
    [digest] = [mail for mail in server.mails if "할 일 5개" in mail["Subject"]]
    text = digest.get_body(("plain",)).get_content()
    assert [f"todo {nr}" in text for nr in range(5)] == [True] * 5
    assert "somebody" not in text
    [said] = [each for each in await post.said() if each.cause == causes[0].id]
    assert said.others == tuple(cause.id for cause in causes[1:])


async def test_a_code_goes_before_whatever_else_is_due(post: Post):
    """A week's reports are due for everybody at once, and somebody wants to sign in."""
    columns = "id, due_at, kind, cause, subject, correlation_id, traceparent, happened_at, message_id"
    values = "gen_random_uuid(), now() - make_interval(mins => $2), $1, gen_random_uuid(), $3, '', '', now(), ''"
    for kind, age in [("weekly_report", 2)] * 3 + [("code", 1)]:
        await post.owner.execute(f"insert into letter ({columns}) values ({values})", kind, age, uuid7())
    async with await open_pool(post.database.url, application="mailer") as pool:
        table = WorkTable("letter", pool, turn=TURN)
        assert [row["kind"] for _ in range(2) for row in await table.claim(1)] == ["code", "weekly_report"]


async def test_global_switches_stop_every_letter_but_codes(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    for switch in ("enable_notifications", "enable_email_notifications"):
        async with post.mailer(**by_smtp, **{switch: False}):
            skipped = await post.settled(await post.auth.say(registered()), "skipped")
            assert skipped["reason"] == "switched off"
            await post.settled(await post.auth.say(asked()), "sent")
    assert [mail["Subject"] for mail in server.mails] == ["🔐 Your OTP Code - Todo API"] * 2
    assert len(await post.said()) == 2
