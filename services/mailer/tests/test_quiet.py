"""Quiet hours hold what can wait; an address that refuses letter after letter gets no more, until it works again."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailing import Post, check_of, environment, registered
from mailserver import MailServer
from msgspec.structs import replace
from test_notices import alarm

from events.catalog.auth import ProfileChanged, UserRegistered, UserSignedIn
from events.catalog.mailer import MailResumed, MailSuppressed
from events.catalog.quiet import quiet_until
from events.catalog.todos import TodoDueSoon, TodoOverdue
from events.ids import uuid7
from local.fixtures import until

BERLIN = ZoneInfo("Europe/Berlin")
FIRST, LAST = (datetime.fromisoformat(f"{year}-01-01") for year in (2026, 2027))
WALL = st.times().map(lambda each: each.strftime("%H:%M"))


def at(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("now", "start", "end", "ends"),
    [
        (at("2026-11-24T21:59"), "22:00", "07:00", None),
        (at("2026-11-24T22:00"), "22:00", "07:00", at("2026-11-25T07:00")),
        (at("2026-11-25T06:59"), "22:00", "07:00", at("2026-11-25T07:00")),
        (at("2026-11-25T07:00"), "22:00", "07:00", None),
        (at("2026-11-25T13:00"), "12:30", "14:00", at("2026-11-25T14:00")),
        (at("2026-11-25T12:00"), "12:30", "14:00", None),
        # 02:00 becomes 03:00, and in autumn 03:00 becomes 02:00.
        (at("2026-03-29T01:00"), "22:00", "02:30", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        (at("2026-10-25T02:40", fold=1), "22:00", "02:45", at("2026-10-25T02:45", fold=1)),
        (at("2026-10-25T02:40", fold=0), "22:00", "02:45", at("2026-10-25T02:45", fold=0)),
    ],
)
def test_quiet_hours_are_times_of_day_where_the_person_is(now: datetime, start: str, end: str, ends: datetime | None):
    assert quiet_until(now.astimezone(UTC), BERLIN, start, end) == (ends and ends.astimezone(UTC))


@given(st.datetimes(timezones=st.just(UTC), min_value=FIRST, max_value=LAST), WALL, WALL)
def test_what_is_held_is_held_for_less_than_two_days_and_never_until_a_time_that_is_over(
    now: datetime, start: str, end: str
):
    ends = quiet_until(now, BERLIN, start, end)
    assert ends is None or now < ends < now + timedelta(days=2)
    assert quiet_until(now, BERLIN, None, None) is None


def quiet_now() -> dict[str, str]:
    """Quiet hours in UTC that are on, and will be for hours."""
    now = datetime.now(UTC)
    return {name: (now + timedelta(hours=by)).strftime("%H:%M") for name, by in (("quiet_from", -1), ("quiet_to", 3))}


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """A file that moves the mailer's clock."""
    file = tmp_path / "clock"
    file.write_text("0")
    return file


def move(clock: Path, *, hours: float) -> None:
    clock.write_text(str(hours * 3600))


async def known(post: Post, **profile: Any) -> UserRegistered:
    person = registered()
    await post.settled(await post.auth.say(person), "sent")
    if profile:
        await post.auth.say(ProfileChanged(user_id=person.user_id, **profile))
        await until(lambda: post.owner.fetchval("select true from contact where quiet_to is not null"))
    return person


async def test_what_can_wait_is_held_in_quiet_hours_and_says_so_and_what_cannot_goes(
    post: Post, server: MailServer, by_smtp: dict[str, Any], clock: Path
):
    async with post.mailer(**by_smtp, clock_file=str(clock)):
        ada = await known(post, **quiet_now())
        overdue = await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id)
        later = await post.auth.say(alarm(TodoDueSoon, due_in=8 * 3600), subject=ada.user_id)
        soon = await post.auth.say(alarm(TodoDueSoon, due_in=600), subject=ada.user_id)
        await post.settled(soon, "sent")
        for cause in (overdue, later):
            held = await until(lambda: post.owner.fetchrow(HELD, cause.id))  # noqa: B023
            assert (held["state"], held["reason"]) == ("queued", "quiet hours")
            assert timedelta(hours=2.9) < held["held_until"] - datetime.now(UTC) < timedelta(hours=3.1)
        assert len(server.mails) == 2
        move(clock, hours=3.1)
        for cause in (overdue, later):
            await post.settled(cause, "sent")
    assert len(server.mails) == 4


async def test_what_waits_for_quiet_hours_to_end_goes_once_its_person_wants_none(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    async with post.mailer(**by_smtp):
        ada = await known(post, **quiet_now())
        overdue = await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id)
        await until(lambda: post.owner.fetchrow(HELD, overdue.id))
        await post.auth.say(ProfileChanged(user_id=ada.user_id, quiet_from=None, quiet_to=None))
        await post.settled(overdue, "sent")


async def test_letters_that_stay_held_are_seen(post: Post, by_smtp: dict[str, Any], clock: Path):
    async with post.mailer(**by_smtp, clock_file=str(clock)) as health:
        ada = await known(post, **quiet_now())
        overdue = await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id)
        await until(lambda: post.owner.fetchrow(HELD, overdue.id))
        await post.owner.execute("revoke update on letter from mailer")
        move(clock, hours=3.1)
        await until(lambda: check_of(health, "held letters").state == "late")
        await post.owner.execute("grant update on letter to mailer")
        await until(lambda: check_of(health, "held letters").state == "ok")
        await post.settled(overdue, "sent")


HELD = "select * from letter where cause = $1 and held_until is not null"
REFUSED = "550 there is nobody here"


async def refuse(post: Post, server: MailServer, person: UUID, *, hours_later: float = 2) -> None:
    """A letter that the mail server refuses for good; the one before was some hours ago."""
    await post.owner.execute(
        "update contact set refused_at = refused_at - make_interval(secs => $1)", hours_later * 3600
    )
    server.rcpt.append(REFUSED)
    await post.settled(await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=person), "failed")


async def test_an_address_that_refuses_three_times_in_a_row_gets_no_more_until_a_code_arrived_there(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    async with post.mailer(**by_smtp):
        ada = await known(post)
        for _ in range(3):
            await refuse(post, server, ada.user_id)
        skipped = await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id)
        assert (await post.settled(skipped, "skipped"))["reason"] == "suppressed"
        assert await told(post) == [MailSuppressed(user_id=ada.user_id)]
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        await post.auth.say(UserSignedIn(user_id=ada.user_id, session_id=uuid7()), time=long_ago)
        await post.auth.say(registered())
        await until(lambda: post.owner.fetchval("select count(*) = 2 from contact"))
        assert await told(post) == [MailSuppressed(user_id=ada.user_id)], "signed in before it refused"
        await post.auth.say(UserSignedIn(user_id=ada.user_id, session_id=uuid7()))
        await until(lambda: post.owner.fetchval("select count(*) = 0 from contact where refused_at is not null"))
        await post.settled(await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id), "sent")
    assert await told(post) == [MailSuppressed(user_id=ada.user_id), MailResumed(user_id=ada.user_id)]


async def test_refusals_of_one_bad_hour_count_as_one_and_a_letter_that_arrives_forgives_them(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    async with post.mailer(**by_smtp):
        ada = await known(post)
        for _ in range(4):
            await refuse(post, server, ada.user_id, hours_later=0)
        await refuse(post, server, ada.user_id)
        assert await post.owner.fetchval("select refusals from contact") == 2
        await post.settled(await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id), "sent")
        assert await post.owner.fetchval("select refusals from contact") == 0
        for _ in range(2):
            await refuse(post, server, ada.user_id)
    assert await told(post) == []


async def test_what_is_no_refusal_counts_as_none(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    ada = registered()
    async with post.mailer(**by_smtp):
        welcome = await post.auth.say(replace(ada, sealed_contact=ada.sealed_contact[:-4] + "AAAA"))
        assert (await post.settled(welcome, "failed"))["reason"].startswith("the seal does not open")
    assert await post.owner.fetchval("select refusals from contact") == 0


@pytest.mark.parametrize(
    "refusal",
    [
        ("rcpt", "550 nobody here", 1),
        ("rcpt", "550 5.1.1 nobody here", 1),
        ("rcpt", "550 5.7.1 relaying denied", 0),
        ("rcpt", "554 5.7.1 listed", 0),
        ("data", "554 5.7.1 spam", 0),
        ("data", "552 too big", 0),
    ],
)
async def test_what_is_refused_of_a_letter_or_of_us_says_nothing_of_its_address(
    post: Post, server: MailServer, by_smtp: dict[str, Any], refusal: tuple[str, str, int]
):
    command, reply, counts = refusal
    getattr(server, command).append(reply)
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(registered()), "failed")
    assert await post.owner.fetchval("select refusals from contact") == counts


async def test_an_operator_lets_letters_go_to_an_address_again(
    post: Post, server: MailServer, by_smtp: dict[str, Any], tmp_path: Path
):
    async with post.mailer(**by_smtp):
        ada = await known(post)
        for _ in range(3):
            await refuse(post, server, ada.user_id)
    said = [await resumed(post, tmp_path, str(ada.user_id)) for _ in range(2)]
    assert ["again" in each for each in said] == [True, False]
    assert "usage" in await resumed(post, tmp_path, "nobody")
    assert await told(post) == [MailSuppressed(user_id=ada.user_id), MailResumed(user_id=ada.user_id)]


async def resumed(post: Post, folder: Path, person: str) -> str:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "mailer", "resume", person),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(post, folder),
    )
    out, _ = await asyncio.wait_for(child.communicate(), 30)
    return out.decode()


async def told(post: Post) -> list[MailSuppressed | MailResumed]:
    return [each for each in await post.said() if isinstance(each, MailSuppressed | MailResumed)]
