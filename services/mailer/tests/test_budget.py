"""However slow the mail server, a letter's own time ends before its lease does, and what became of it is known."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from mailing import RECIPIENT
from mailserver import Certificates, MailServer, Reply, drop, hang, mail_server, slow

from events.work import LEASE
from local.fixtures import until
from mailer.letters import Mail
from mailer.smtp import PREPARE, TRANSFER, Deferred, Refused, Server, Smtp, SmtpError, Unsure

pytestmark = pytest.mark.usefixtures("impatient")

BUDGET = PREPARE + TRANSFER
KEPT = 4
MAIL = Mail(id="1", sender="noreply@todo.example", recipient=RECIPIENT, subject="", text="", content=b"Subject: x\r\n")


def test_a_letter_s_whole_time_is_under_half_its_lease_with_some_left_to_tell_the_outcome():
    assert BUDGET + 3 < LEASE / 2


async def mark() -> None:
    """Nothing to commit."""


@pytest.fixture
async def server(certificates: Certificates, free_port: Callable[[], int]) -> AsyncIterator[MailServer]:
    """A mail server with STARTTLS: EHLO belongs to opening a connection."""
    async with mail_server(free_port(), certificates) as running:
        yield running


@pytest.fixture
async def smtp(server: MailServer, certificates: Certificates) -> AsyncIterator[Smtp]:
    """Posts to `server`, and keeps several connections to it."""
    opened = Smtp(
        Server(host="127.0.0.1", port=server.port, greeting="todo.example", ca_file=str(certificates.authority))
    )
    try:
        with (
            pytest.MonkeyPatch.context() as patch
        ):  # on a busy machine four handshakes take longer than an impatient one
            patch.setattr("mailer.smtp.PREPARE", PREPARE)
            await asyncio.gather(*(opened.send(MAIL, mark) for _ in range(KEPT)))
        assert len(server.connections) == KEPT
        yield opened
    finally:
        opened.close()


@asynccontextmanager
async def lasting_less_than(seconds: float) -> AsyncIterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


async def test_a_link_that_ends_while_the_letter_is_marked_took_nothing_of_it(smtp: Smtp, server: MailServer):
    used = smtp._idle[-1]

    async def ends() -> None:
        assert used.transport
        used.transport.abort()
        await until(lambda: not used.is_connected)

    with pytest.raises(Deferred):
        await smtp.send(MAIL, ends)
    await smtp.send(MAIL, mark)
    assert len(server.mails) == KEPT + 1


@pytest.mark.parametrize("reply", [hang, "421 4.4.2 idle for too long", "452 4.3.1 enough for one connection"])
async def test_dead_links_cost_a_letter_one_of_them_and_no_attempt(smtp: Smtp, server: MailServer, reply: Reply):
    server.mail.append(reply)
    async with lasting_less_than(1.0):
        await smtp.send(MAIL, mark)
    assert not server.mail, "one kept connection was asked"
    assert len(server.connections) == KEPT + 1
    assert len(server.mails) == KEPT + 1
    assert smtp.check().state == "ok"


@pytest.mark.parametrize("stage", ["ehlo", "mail", "rcpt"])
async def test_hanging_before_the_mark_a_server_is_reported_and_the_letter_waits(
    smtp: Smtp, server: MailServer, stage: str
):
    server.mail.append(hang)  # what is kept is dead
    getattr(server, stage).append(hang)
    async with lasting_less_than(1.5):
        with pytest.raises(Deferred):
            await smtp.send(MAIL, mark)
    assert smtp.check().state == "late"
    await smtp.send(MAIL, mark)
    assert smtp.check().state == "ok"


async def test_slow_at_each_stage_a_server_gets_one_budget_for_all(smtp: Smtp, server: MailServer):
    for stage in (server.ehlo, server.mail, server.rcpt):
        stage.append(slow(0.4))
    smtp.close()
    async with lasting_less_than(1.5):
        with pytest.raises(Deferred):
            await smtp.send(MAIL, mark)
    assert len(server.mails) == KEPT


async def test_a_mark_that_is_never_committed_is_within_the_budget(smtp: Smtp, server: MailServer):
    async with lasting_less_than(1.5):
        with pytest.raises(Deferred):
            await smtp.send(MAIL, asyncio.Event().wait)
    assert len(server.mails) == KEPT


@pytest.mark.parametrize("kept", ["250 OK", hang])
async def test_hanging_after_the_mark_a_server_leaves_an_unknown_outcome_in_time(
    smtp: Smtp, server: MailServer, kept: Reply
):
    server.mail.append(kept)
    server.data.append(hang)
    async with lasting_less_than(1.5):
        with pytest.raises(Unsure):
            await smtp.send(MAIL, mark)


@pytest.mark.parametrize("reply", [drop, hang, "what is that?", "250 OK", "334 go on"])
async def test_what_goes_wrong_before_the_server_asks_for_the_letter_took_nothing_of_it(
    smtp: Smtp, server: MailServer, reply: Reply
):
    server.begin.append(reply)
    async with lasting_less_than(1.5):
        with pytest.raises(Deferred):
            await smtp.send(MAIL, mark)
    assert smtp.check().state == "late", "no letter's own fault"
    await smtp.send(MAIL, mark)
    assert smtp.check().state == "ok"
    assert len(server.mails) == KEPT + 1


@pytest.mark.parametrize("stage", ["begin", "data"])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("421 4.3.2 closing", Deferred),
        ("451 4.3.0 not now", Deferred),
        ("554 5.7.1 no spam", Refused),
        ("550 5.1.1 nobody", Refused),
    ],
)
async def test_before_the_letter_or_behind_it_a_server_s_refusal_is_taken_at_its_word(
    smtp: Smtp, server: MailServer, stage: str, reply: str, error: type[SmtpError]
):
    getattr(server, stage).append(reply)
    with pytest.raises(error) as raised:
        await smtp.send(MAIL, mark)
    assert not getattr(raised.value, "is_bounce", False), "RCPT has the word about addresses"
    assert smtp.check().state == "ok"


@pytest.mark.parametrize("reply", [drop, "what is that?", "354 go on"])
async def test_what_is_no_answer_to_the_letter_leaves_its_outcome_unknown(smtp: Smtp, server: MailServer, reply: Reply):
    server.data.append(reply)
    with pytest.raises(Unsure):
        await smtp.send(MAIL, mark)


async def test_the_time_that_a_server_takes_to_ask_for_the_letter_is_taken_off_that_for_its_answer(
    smtp: Smtp, server: MailServer
):
    server.begin.append(slow(0.3, "354 go on"))
    server.data.append(slow(0.3))
    with pytest.raises(Unsure):
        await smtp.send(MAIL, mark)


async def test_lines_that_begin_with_a_dot_arrive_and_none_ends_the_letter(smtp: Smtp, server: MailServer):
    lines = ["Subject: x", "", ".", "..two", "MAIL FROM:<me@here>", ".", "last"]
    for end in ("\r\n", "\n", "\r"):
        await smtp.send(msgspec.structs.replace(MAIL, content=end.join(lines).encode()), mark)
        assert server.contents[-1].decode().split("\r\n") == [*lines, ""]
    assert len(server.mails) == KEPT + 3
