"""Processes die, connections break, time passes: each letter still ends once, and says how."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from mailing import KEY, NEXT_KEY, Post, asked, check_of, registered, seal, service, text_of
from mailserver import MailServer, drop, hang
from nacl.public import PrivateKey

from events.catalog.mailer import MailFailed, MailSent
from events.health import Health
from local.fixtures import until
from mailer.domain import ATTEMPTS_MAX

pytestmark = pytest.mark.usefixtures("impatient")


async def kill_in(post: Post, folder: Path, server: MailServer, state: str) -> Any:
    """Kill a mailer while its letter is in a state, and let the letter's lease end at once."""
    environment = {"MAIL_TRANSPORT": "smtp", "SMTP_SERVER": "127.0.0.1", "SMTP_STARTTLS": "false"}
    async with service(post, folder, SMTP_PORT=str(server.port), **environment) as process:
        cause = await post.auth.say(asked())

        async def reached() -> bool:
            letter = await post.letter(cause)
            return letter is not None and letter["state"] == state and server.hanging

        await until(reached)
        os.kill(process.pid, signal.SIGKILL)
    await post.owner.execute("update letter set lease_until = clock_timestamp()")
    return cause


async def test_killed_before_the_mark_a_letter_goes_once(
    post: Post, server: MailServer, by_smtp: dict[str, Any], tmp_path: Path
):
    server.rcpt.append(hang)
    cause = await kill_in(post, tmp_path, server, "claimed")
    async with post.mailer(**by_smtp):
        await post.settled(cause, "sent")
    assert len(server.mails) == 1
    assert [type(said) for said in await post.said()] == [MailSent]


async def test_killed_after_the_mark_a_code_goes_once_more_as_the_same_message(
    post: Post, server: MailServer, by_smtp: dict[str, Any], tmp_path: Path
):
    server.data.append(hang)
    cause = await kill_in(post, tmp_path, server, "sending")
    async with post.mailer(**by_smtp):
        await post.settled(cause, "sent")
    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert [type(said) for said in await post.said()] == [MailSent]


async def test_stopped_with_a_letter_on_its_way_a_mailer_lets_it_arrive(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    async def answer_late(smtp: SMTP) -> str:
        server.hanging = True
        await asyncio.sleep(0.3)
        return "250 OK"

    server.data.append(answer_late)
    async with post.mailer(**by_smtp):
        cause = await post.auth.say(asked())
        await until(lambda: server.hanging)
    assert (await post.letter(cause))["state"] == "sent"


async def test_taken_by_the_server_a_letter_is_settled_though_the_database_was_away(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    async def cut_connections(smtp: SMTP) -> str:
        await post.cut_connections()
        return "250 OK"

    server.data.append(cut_connections)
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(asked()), "sent")
    assert len(server.mails) == 1
    assert [type(said) for said in await post.said()] == [MailSent]


async def test_a_letter_whose_mark_was_lost_with_the_database_goes_once_and_is_no_riddle(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    async def shut_out(smtp: SMTP) -> str:
        await post.let_log_in(allowed=False)
        await post.cut_connections()
        server.hanging = True
        return "250 OK"

    def gave_up() -> bool:
        return server.hanging and server.connections[0].transport is None

    server.rcpt.append(shut_out)
    async with post.mailer(**by_smtp):
        cause = await post.auth.say(asked())
        await until(gave_up)
        await post.let_log_in(allowed=True)
        letter = await post.settled(cause, "sent")
    assert (letter["resent"], letter["attempts"]) == (False, 2)
    assert len(server.mails) == 1


async def test_a_code_that_expired_before_it_was_heard_is_never_sent(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    cause = await post.auth.say(asked(lives=-1))
    async with post.mailer(**by_smtp):
        await post.settled(cause, "expired")
    assert server.mails == []
    await says_failed(post, "expired")


async def test_a_code_that_expires_while_the_server_hesitates_is_never_sent(
    post: Post, server: MailServer, by_smtp: dict[str, Any], tmp_path: Path
):
    clock = tmp_path / "clock"

    def advance(seconds: str) -> Callable[[SMTP], Awaitable[str]]:
        async def reply(smtp: SMTP) -> str:
            clock.write_text(seconds)
            return "250 OK"

        return reply

    server.rcpt.append(advance("301"))
    async with post.mailer(**by_smtp, clock_file=str(clock)):
        await post.settled(await post.auth.say(asked(lives=300)), "expired")
    assert server.mails == []
    await says_failed(post, "expired")


async def test_a_letter_of_unknown_outcome_whose_code_expired_stays_unknown(
    post: Post, server: MailServer, by_smtp: dict[str, Any], tmp_path: Path
):
    clock = tmp_path / "clock"

    async def drop_late(smtp: SMTP) -> str:
        clock.write_text("301")
        smtp.transport.abort()
        return ""

    server.data.append(drop_late)
    async with post.mailer(**by_smtp, clock_file=str(clock)):
        letter = await post.settled(await post.auth.say(asked(lives=300)), "unknown")
    assert not letter["resent"]
    assert len(server.mails) == 1
    await says_failed(post, "unknown")


@pytest.mark.parametrize(
    "end",
    [
        ("550 no such person", "resent = resent", "SMTPRecipientRefused 550"),
        ("451 not now", "expires_at = clock_timestamp()", "expired"),
        ("451 not now", f"attempts = {ATTEMPTS_MAX}", "SMTPRecipientRefused 451"),
    ],
    ids=["refused", "expired", "gave up"],
)
async def test_however_its_second_copy_ends_a_letter_of_unknown_outcome_stays_unknown(
    post: Post, server: MailServer, by_smtp: dict[str, Any], end: tuple[str, str, str]
):
    reply, change, detail = end

    async def change_and_reply(smtp: SMTP) -> str:
        await post.change_letters(change)
        return reply

    server.data.append(drop)
    server.rcpt.extend(["250 OK", change_and_reply, reply])
    async with post.mailer(**by_smtp):
        letter = await post.settled(await post.auth.say(asked()), "unknown")
    assert (letter["resent"], letter["reason"]) == (True, detail)
    await says_failed(post, "unknown")


@pytest.mark.parametrize(
    "sealed",
    [
        seal({"recipient": "a@b.example", "code": "1", "expires_at": "2030-01-01T00:00:00Z"}, PrivateKey.generate()),
        seal({"recipient": "a@b.example"}),
        seal({"recipient": "a@b.example\r\nBcc: c@d.example", "code": "1", "expires_at": "2030-01-01T00:00:00Z"}),
        seal({"recipient": "a@b.example, c@d.example", "code": "1", "expires_at": "2030-01-01T00:00:00Z"}),
        seal({"recipient": "a@bücher.example", "code": "1", "expires_at": "2030-01-01T00:00:00Z"}),
        seal({"recipient": "", "code": "1", "expires_at": "2030-01-01T00:00:00Z"}),
        "k1.",
        "k1.%%%",
        "",
    ],
    ids=["stranger", "fields", "injection", "two addresses", "no ASCII", "no address", "empty", "no base64", "nothing"],
)
async def test_a_seal_that_does_not_open_fails_its_own_letter_alone(
    post: Post, server: MailServer, by_smtp: dict[str, Any], sealed: str
):
    async with post.mailer(**by_smtp):
        bad = await post.auth.say(asked(sealed=sealed))
        good = await post.auth.say(asked())
        await post.settled(bad, "failed")
        await post.settled(good, "sent")
    assert len(server.mails) == 1, await post.owner.fetch("select state, attempts, resent, reason from letter")
    assert {said.reason for said in await post.said() if isinstance(said, MailFailed)} == {"unreadable"}


async def test_sealed_for_a_key_that_is_not_here_yet_a_code_waits_for_it(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    async with post.mailer(**by_smtp) as health:
        assert check_of(health, "seals").state == "ok"
        cause = await post.auth.say(asked(key=NEXT_KEY, kid="k2"))
        await post.settled(await post.auth.say(asked()), "sent")
        await until(lambda: check_of(health, "seals").state == "late")
        assert "MAILER_PRIVATE_KEYS" in check_of(health, "seals").detail
        assert Health.is_ready(health.checks())
    both = f"k2:{text_of(bytes(NEXT_KEY))},k1:{text_of(bytes(KEY))}"
    async with post.mailer(**by_smtp, mailer_private_keys=both) as health:
        await post.settled(cause, "sent")
        assert check_of(health, "seals").state == "ok"
    assert len(server.mails) == 2


async def test_a_code_whose_key_never_comes_expires_and_nothing_waits_any_more(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
):
    async with post.mailer(**by_smtp) as health:
        cause = await post.auth.say(asked(key=NEXT_KEY, kid="k2", lives=1.5))
        await until(lambda: check_of(health, "seals").state == "late")
        await post.settled(cause, "expired")
        assert check_of(health, "seals").state == "ok"
    assert server.mails == []
    await says_failed(post, "expired")


async def test_how_to_reach_people_is_remembered_sealed(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    person = registered()
    async with post.mailer(**by_smtp):
        await post.auth.say(person)
        row = await until(lambda: post.owner.fetchrow("select * from contact"))
    assert (row["user_id"], row["sealed_contact"], row["locale"]) == (person.user_id, person.sealed_contact, None)


async def says_failed(post: Post, reason: str) -> None:
    [said] = await post.said()
    assert isinstance(said, MailFailed)
    assert said.reason == reason
