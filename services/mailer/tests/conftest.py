"""Fixtures of the mailer's tests; what they are made of is in mailing.py and mailserver.py."""

from collections.abc import AsyncIterator, Callable

import mailing
import mailserver
import pytest

from local.fixtures import DatabaseFactory
from local.nats import Nats


@pytest.fixture
async def post(database: DatabaseFactory, nats: Nats) -> AsyncIterator[mailing.Post]:
    async with mailing.opened(database("mailer"), nats) as opened:
        yield opened


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> mailserver.Certificates:
    return mailserver.make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def server(free_port: Callable[[], int]) -> AsyncIterator[mailserver.MailServer]:
    """A mail server that wants neither encryption nor a password."""
    async with mailserver.mail_server(free_port()) as running:
        yield running


@pytest.fixture
def by_smtp(server: mailserver.MailServer) -> dict[str, object]:
    """The settings of a mailer that posts to `server`."""
    return mailing.smtp_settings(server.port, smtp_starttls=False)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines and pauses of a fraction of a second."""
    monkeypatch.setattr("mailer.smtp.PREPARE", 1.0)
    monkeypatch.setattr("mailer.smtp.TRANSFER", 0.5)
    monkeypatch.setattr("mailer.delivery.PAUSE_MAX", 0.05)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restore a tail comes back in several parts."""
    monkeypatch.setattr("ops.importing.PULLED", 2)
