"""However slow the mail server, a letter's own time ends before its lease does, and what became of it is known."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from mailing import RECIPIENT
from mailserver import Certificates, MailServer, Reply, hang, mail_server, slow

from events.work import LEASE
from local.fixtures import until
from mailer.letters import Mail
from mailer.smtp import PREPARE, TRANSFER, Deferred, Server, Smtp, Unsure

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
