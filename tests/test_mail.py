"""Letters to a real mail server, and letters that must wait or must not go."""

from collections.abc import Iterator
from functools import partial

import mailserver
import pytest

import system
from local.fixtures import until
from system import System, code_of, with_codes


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> mailserver.Certificates:
    return mailserver.make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def mailing(certificates: mailserver.Certificates) -> Iterator[tuple[System, int]]:
    """A stack that posts by SMTP, with STARTTLS and a password, to a port where a test may listen."""
    port = system.ports.free_port()
    settings = {
        "SMTP_SERVER": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_USERNAME": mailserver.USERNAME,
        "SMTP_PASSWORD": mailserver.PASSWORD,
        "SMTP_CA_FILE": str(certificates.authority),
        "FROM_EMAIL": "todo@example.com",
    }
    with system.system(**settings) as started:
        yield started, port


async def test_a_mail_server_gets_the_letter_encrypted_and_from_somebody_it_knows(
    mailing: tuple[System, int], certificates: mailserver.Certificates
) -> None:
    world, port = mailing
    async with mailserver.mail_server(port, certificates, auth=True) as server, world.visitor() as someone:
        challenge = await someone.ask_for_code()
        [letter] = await until(lambda: with_codes(server.mails))
        assert (letter["To"], letter["Subject"]) == (someone.email, "🔐 Your OTP Code - Todo API")
        assert code_of(letter) == challenge["otp_code"]
        assert server.encrypted == [True]
        assert server.logins == [(mailserver.USERNAME, mailserver.PASSWORD)]


async def test_a_letter_waits_for_the_mail_server_and_goes_out_once(
    mailing: tuple[System, int], certificates: mailserver.Certificates
) -> None:
    world, port = mailing
    async with world.visitor() as someone:
        challenge = await someone.ask_for_code()
        await until(partial(_tried, world))
        async with mailserver.mail_server(port, certificates, auth=True) as server:
            [letter] = await until(lambda: with_codes(server.mails), within=30)
            assert code_of(letter) == challenge["otp_code"]
            assert (await someone.verify(challenge, code_of(letter))).status_code == 200
            assert await _settled(world) == "sent"
            assert len(with_codes(server.mails)) == 1


async def test_a_code_past_its_expiry_is_never_sent(
    mailing: tuple[System, int], certificates: mailserver.Certificates
) -> None:
    world, port = mailing
    async with world.visitor() as someone:
        await someone.ask_for_code()
        await until(partial(_tried, world))
        with world.later(301):
            async with mailserver.mail_server(port, certificates, auth=True) as server:
                assert await _settled(world) == "expired"
                assert with_codes(server.mails) == []

        async def said() -> list[str]:
            query = (
                "select data ->> 'reason' as reason from archive "
                "where type = 'mailer.MailFailed.v1' and data ->> 'kind' = 'code'"
            )
            return [row["reason"] for row in await world.rows("activity", query)]

        assert await until(said) == ["expired"]


async def _tried(world: System) -> bool:
    """Whether the mailer has knocked with an open code."""
    return bool(
        await world.value("mailer", "select max(attempts) from letter where kind = 'code' and settled_at is null")
    )


async def _settled(world: System) -> str:
    """How the newest code ended."""

    async def state() -> str | None:
        query = "select state, settled_at from letter where kind = 'code' order by created_at desc limit 1"
        [row] = await world.rows("mailer", query)
        return row["state"] if row["settled_at"] else None

    return await until(state, within=20)
