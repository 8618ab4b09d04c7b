"""In production nothing but the mail holds a code: every table, the WAL, the stream store and all logs are searched."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import mailserver
import pytest

import system
from local.fixtures import until
from system import Person, System, code_of, with_codes

SERVICES = ("auth", "todos", "mailer", "activity", "notifier")
TABLES = """
select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')
"""


@pytest.fixture
def production(tmp_path: Path) -> Iterator[tuple[System, int, mailserver.Certificates]]:
    certificates = mailserver.make_certificates(tmp_path)
    port = system.ports.free_port()
    settings = {
        "APP_ENV": "production",
        "OTP_LENGTH": "12",
        "LOG_LEVEL": "DEBUG",
        "MAIL_TRANSPORT": "smtp",
        "SMTP_SERVER": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_USERNAME": mailserver.USERNAME,
        "SMTP_PASSWORD": mailserver.PASSWORD,
        "SMTP_CA_FILE": str(certificates.authority),
        "FROM_EMAIL": "todo@example.com",
    }
    with system.system(**settings) as started:
        yield started, port, certificates


async def test_a_code_is_found_nowhere_but_in_its_mail(
    production: tuple[System, int, mailserver.Certificates],
) -> None:
    world, port, certificates = production
    codes = []
    async with mailserver.mail_server(port, certificates, auth=True) as server:
        for kind in ("right", "wrong first", "left alone"):
            async with world.visitor() as someone:
                codes.append(await one_code(someone, server, kind))
    canary = await plant(world)
    await until(lambda: found(world, canary))
    for code in codes:
        assert len(code) == 12
        assert await found(world, code) == set()


async def one_code(someone: Person, server: mailserver.MailServer, kind: str) -> str:
    """Ask for a code, read it from the mail, and use it or not."""
    before = len(with_codes(server.mails))
    challenge = await someone.ask_for_code()
    assert "otp_code" not in challenge
    await until(lambda: len(with_codes(server.mails)) > before)
    code = code_of(with_codes(server.mails)[-1])
    if kind == "wrong first":
        assert (await someone.verify(challenge, code[::-1])).status_code == 401
    if kind != "left alone":
        assert (await someone.verify(challenge, code)).status_code == 200
    return code


async def plant(world: System) -> str:
    """Put something that looks like a code into each place, by the ways that a careless service would."""
    canary = "".join(secrets.choice("123456789") for _ in range(12))
    await world.rows("todos", f"create table careless as select '{canary}'::text as code")
    await world.rows("todos", f"create table careless_bytes as select convert_to('{canary}', 'UTF8') as answer")
    async with world.jetstream() as js:
        await js.add_stream(name="CARELESS", subjects=["careless"])
        await js.publish("careless", canary.encode())
    with (world.stack.layout.logs / "auth.log").open("a") as log:
        log.write(f'{{"event": "code sent", "code": "{canary}"}}\n')
    await until(lambda: everywhere(world, canary), within=20)
    return canary


async def everywhere(world: System, text: str) -> bool:
    tables = {f"table todos public.{name}" for name in ("careless", "careless_bytes")}
    return await found(world, text) == {*tables, "wal", "streams", "logs"}


async def found(world: System, text: str) -> set[str]:
    """The places that hold a text."""
    data = world.stack.layout.folder / "data"
    places = {
        "wal": (data / "postgres").glob("**/pg_wal/0*"),
        "streams": (data / "nats").glob("**/*.blk"),
        "logs": world.stack.layout.logs.iterdir(),
    }
    hits = {name for name, files in places.items() if any(holds(file, text) for file in files)}
    # A bytea reads as hexadecimal digits.
    forms = [f"%{form}%" for form in (text, text.encode().hex())]
    for service in SERVICES:
        for schema, table in await world.rows(service, TABLES):
            query = f"select exists (select from {schema}.{table} t where t::text like any ($1))"
            if await world.value(service, query, forms):
                hits.add(f"table {service} {schema}.{table}")
    return hits


def holds(file: Path, text: str) -> bool:
    return file.is_file() and text.encode() in file.read_bytes()
