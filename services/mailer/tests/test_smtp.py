"""A letter is posted to a mail server, whatever the server does."""

import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from mailing import RECIPIENT, Post, asked, check_of, smtp_settings
from mailserver import PASSWORD, USERNAME, Certificates, MailServer, drop, hang, mail_server, make_certificates, serving

from events.catalog.mailer import MailFailed, MailSent
from events.health import Health
from local.fixtures import until
from mailer.smtp import PREPARE

pytestmark = pytest.mark.usefixtures("impatient")


async def test_a_letter_goes_encrypted_and_with_a_password(
    post: Post, certificates: Certificates, free_port: Callable[[], int]
):
    async with mail_server(free_port(), certificates, auth=True) as server:
        wanted = smtp_settings(
            server.port,
            smtp_username=USERNAME,
            smtp_password=PASSWORD,
            smtp_ca_file=str(certificates.authority),
        )
        async with post.mailer(**wanted):
            letters = [await post.settled(await post.auth.say(asked()), "sent") for _ in range(3)]
    assert server.encrypted == [True] * 3
    assert server.logins == [(USERNAME, PASSWORD)], "one connection served three letters"
    assert server.envelopes == [("noreply@todo.example", [RECIPIENT])] * 3
    assert [mail["Message-ID"] for mail in server.mails] == [f"<{each['id']}@todo.example>" for each in letters]


async def test_the_letter_is_whole(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    async with post.mailer(**by_smtp):
        cause = await post.auth.say(asked("007007", locale="en"))
        letter = await post.settled(cause, "sent")
    [mail] = server.mails
    assert mail["From"] == "Todo API <noreply@todo.example>"
    assert mail["To"] == RECIPIENT
    assert mail["Subject"] == "🔐 Your OTP Code - Todo API"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert abs(mail["Date"].datetime - cause.time) < timedelta(seconds=1)
    assert "**OTP code: 007007**" in mail.get_body(("plain",)).get_content()
    assert "<strong>007007</strong>" in mail.get_body(("html",)).get_content()
    [said] = await post.said()
    assert isinstance(said, MailSent)
    assert (said.letter_id, said.cause) == (letter["id"], cause.id)
    assert 0 <= said.waited_ms < 10_000


async def test_hearing_the_log_again_sends_nothing(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    async with post.mailer(**by_smtp):
        cause = await post.auth.say(asked())
        await post.settled(cause, "sent")
    await post.owner.execute("delete from events.checkpoint")
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(asked()), "sent")
        assert await post.owner.fetchval("select count(*) from letter") == 2
    assert len(server.mails) == 2
    assert len(await post.said()) == 2


async def test_a_letter_does_not_wait_for_the_next_poll(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(asked()), "sent")
        started = time.monotonic()
        for _ in range(10):
            await post.settled(await post.auth.say(asked()), "sent")
    assert time.monotonic() - started < 3


async def test_a_mail_server_is_asked_for_no_more_connections_than_it_is_to_have(
    post: Post, server: MailServer, by_smtp: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mailer.smtp.PREPARE", PREPARE)  # a busy machine's pause must not look like a dead link
    server.hesitates = 0.05
    causes = [await post.auth.say(asked()) for _ in range(20)]
    async with post.mailer(**by_smtp, smtp_connections=2):
        for cause in causes:
            await post.settled(cause, "sent")
        assert len(server.connections) == 2


async def test_two_mailers_send_each_letter_once(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    async with post.mailer(**by_smtp), post.mailer(**by_smtp):
        causes = [await post.auth.say(asked()) for _ in range(60)]
        for cause in causes:
            await post.settled(cause, "sent")
    assert len({mail["Message-ID"] for mail in server.mails}) == len(server.mails) == 60
    assert len(await post.said()) == 60


@pytest.mark.parametrize("reply", ["451 person@example.com: try again", "421 closing, person@example.com", drop, hang])
async def test_what_is_not_taken_before_the_letter_went_is_tried_again(
    post: Post, server: MailServer, by_smtp: dict[str, Any], reply: Any
):
    server.rcpt.append(reply)
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(asked()), "sent")
    assert len(server.mails) == 1
    assert len(await post.said()) == 1


async def test_a_letter_that_the_server_put_off_is_tried_again(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    server.data.append("451 person@example.com is busy")
    async with post.mailer(**by_smtp):
        letter = await post.settled(await post.auth.say(asked()), "sent")
    assert letter["attempts"] == 2
    assert server.mails[0]["Message-ID"] == server.mails[1]["Message-ID"]
    assert [type(said) for said in await post.said()] == [MailSent]


@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_a_letter_that_the_server_refuses_has_failed(
    post: Post, server: MailServer, by_smtp: dict[str, Any], stage: str
):
    getattr(server, stage).append("550 no person@example.com here")
    async with post.mailer(**by_smtp):
        letter = await post.settled(await post.auth.say(asked()), "failed")
        await post.settled(await post.auth.say(asked()), "sent")
    assert letter["reason"].endswith("550")
    assert "example" not in letter["reason"]
    refused, _ = await post.said()
    assert isinstance(refused, MailFailed)
    assert refused.reason == "refused"


async def test_letters_wait_for_a_server_that_is_down(post: Post, free_port: Callable[[], int]):
    server = MailServer(free_port())
    async with post.mailer(**smtp_settings(server.port, smtp_starttls=False)) as health:
        cause = await post.auth.say(asked())
        await until(lambda: check_of(health, "smtp").state == "late")
        assert Health.is_ready(health.checks())
        async with serving(server):
            await post.settled(cause, "sent")
            assert check_of(health, "smtp").state == "ok"
    assert len(server.mails) == 1


@pytest.mark.parametrize("code", [530, 550])
async def test_a_sender_that_the_server_does_not_take_is_no_letter_s_fault(
    post: Post, server: MailServer, by_smtp: dict[str, Any], code: int
):
    server.mail.extend([f"{code} noreply@todo.example may not send"] * 2)
    async with post.mailer(**by_smtp) as health:
        cause = await post.auth.say(asked())
        check = await until(lambda: (late := check_of(health, "smtp")).state == "late" and late)
        assert f"SMTPSenderRefused {code}: check FROM_EMAIL" in check.detail
        assert "example" not in check.detail
        assert Health.is_ready(health.checks())
        letter = await post.settled(cause, "sent")
        assert check_of(health, "smtp").state == "ok"
    assert letter["attempts"] == 3
    assert letter["reason"] is None
    assert [type(said) for said in await post.said()] == [MailSent]


@pytest.mark.parametrize("trouble", [drop, hang])
async def test_a_code_of_unknown_outcome_is_sent_once_more_as_the_same_message(
    post: Post, server: MailServer, by_smtp: dict[str, Any], trouble: Any
):
    server.data.append(trouble)
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(asked()), "sent")
    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert [type(said) for said in await post.said()] == [MailSent]


@pytest.mark.parametrize("trouble", [drop, hang, "what is that?"])
async def test_a_letter_that_the_server_never_asked_for_is_no_riddle_and_goes_once(
    post: Post, server: MailServer, by_smtp: dict[str, Any], trouble: Any
):
    server.begin.extend([trouble] * 3)
    async with post.mailer(**by_smtp):
        letter = await post.settled(await post.auth.say(asked()), "sent")
    assert (letter["resent"], letter["attempts"]) == (False, 4)
    assert len(server.mails) == 1
    assert [type(said) for said in await post.said()] == [MailSent]


async def test_a_code_is_never_sent_a_third_time(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    server.data.extend([drop, drop])
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(asked()), "unknown")
        await post.settled(await post.auth.say(asked()), "sent")
    assert len(server.mails) == 3
    unknown, _ = await post.said()
    assert isinstance(unknown, MailFailed)
    assert unknown.reason == "unknown"


async def test_a_server_with_a_stranger_s_certificate_gets_nothing(
    post: Post, tmp_path: Path, certificates: Certificates, free_port: Callable[[], int]
):
    stranger = make_certificates(tmp_path)
    async with mail_server(free_port(), stranger, auth=True) as server:
        wanted = smtp_settings(
            server.port, smtp_username=USERNAME, smtp_password=PASSWORD, smtp_ca_file=str(certificates.authority)
        )
        async with post.mailer(**wanted) as health:
            cause = await post.auth.say(asked(lives=1.5))
            await until(lambda: "SSLCertVerificationError" in check_of(health, "smtp").detail)
            await post.settled(cause, "expired")
    assert (server.logins, server.mails) == ([], [])


async def test_the_certificates_of_these_tests_stand_the_verification_of_every_python(
    certificates: Certificates, free_port: Callable[[], int]
):
    strict = ssl.create_default_context(cafile=certificates.authority)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    async with (
        mail_server(free_port(), certificates) as server,
        aiosmtplib.SMTP(hostname="127.0.0.1", port=server.port, start_tls=True, tls_context=strict) as client,
    ):
        assert client.get_transport_info("cipher")


async def test_a_server_without_encryption_gets_no_password(post: Post, server: MailServer):
    wanted = smtp_settings(server.port, smtp_username=USERNAME, smtp_password=PASSWORD)
    async with post.mailer(**wanted) as health:
        cause = await post.auth.say(asked(lives=3))
        await until(lambda: check_of(health, "smtp").state == "late")
        await post.settled(cause, "expired")
    assert (server.logins, server.mails) == ([], [])


async def test_a_wrong_password_leaves_letters_waiting(
    post: Post, certificates: Certificates, free_port: Callable[[], int]
):
    async with mail_server(free_port(), certificates, auth=True) as server:
        wanted = smtp_settings(
            server.port, smtp_username=USERNAME, smtp_password="guess", smtp_ca_file=str(certificates.authority)
        )
        async with post.mailer(**wanted) as health:
            cause = await post.auth.say(asked())
            await until(lambda: "SMTPAuthenticationError 535" in check_of(health, "smtp").detail)
            assert (await post.letter(cause))["state"] in {"queued", "claimed"}
    assert server.mails == []
