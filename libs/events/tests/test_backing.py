"""What production insists on: nobody reads along on the way to PostgreSQL and NATS, unless somebody says otherwise."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from events.access import make_seed
from events.backing import UsesServers
from events.errors import BadSettings
from events.postgres import dialer, open_pool
from events.settings import read
from local.fixtures import Database

TLS = {"DATABASE_URL": "postgres://a:b@db.example/todos?sslmode=verify-full", "NATS_URL": "tls://n1.example,tls://n2"}
CLEAR = {"DATABASE_URL": "postgres://a:b@db.example/todos", "NATS_URL": "nats://a:b@n.example:4222"}
HERE = {"DATABASE_URL": "postgres://a:b@127.0.0.1:5432/todos", "NATS_URL": "nats://localhost:4222,nats://[::1]:4223"}


@pytest.mark.parametrize(
    "fine",
    [
        TLS,
        HERE,
        CLEAR | {"ALLOW_PLAINTEXT": "true"},
        CLEAR | {"APP_ENV": "development"},
        HERE | {"DATABASE_URL": "postgres:///todos?host=/var/run/postgresql"},
    ],
)
def test_tls_is_enough_and_so_is_this_machine_or_a_word_that_something_else_encrypts(fine: dict[str, str]) -> None:
    assert read(UsesServers, fine).nats.url == fine["NATS_URL"]


@pytest.mark.parametrize(
    "url",
    [
        "postgres://a:b@db.example/todos",
        "postgres://a:b@db.example/todos?sslmode=require",
        "postgres://a:b@db.example/todos?sslmode=verify-ca",
        "postgres://a:b@127.0.0.1:5432,db.example:5432/todos",
        "postgres://a:b@/todos?host=db.example",
        "postgres://a:b@127.0.0.1.example/todos",
    ],
)
def test_a_database_elsewhere_is_refused_in_clear_and_unverified(url: str) -> None:
    with pytest.raises(BadSettings, match="DATABASE_URL must say sslmode=verify-full"):
        read(UsesServers, TLS | {"DATABASE_URL": url})


@pytest.mark.parametrize("url", ["nats://n.example:4222", "n.example", "tls://n1.example,nats://n2.example"])
def test_a_broker_elsewhere_is_refused_in_clear(url: str) -> None:
    with pytest.raises(BadSettings, match="NATS_URL must begin with tls://"):
        read(UsesServers, TLS | {"NATS_URL": url})


def test_all_that_is_wrong_on_the_way_is_told_at_once_and_no_secret_is(tmp_path: Path) -> None:
    seed = make_seed()
    files = {"NATS_CA_FILE": str(tmp_path / "no"), "DATABASE_URL": f"{CLEAR['DATABASE_URL']}?sslrootcert={tmp_path}/no"}
    with pytest.raises(BadSettings) as refused:
        read(UsesServers, CLEAR | files | {"NATS_NKEY_SEED": seed[:-1]})
    for words in ("say sslmode=verify-full", "begin with tls://", "NATS_CA_FILE is no", "sslrootcert is no", "SU..."):
        assert words in str(refused.value)
    assert seed[:-1] not in str(refused.value)


@pytest.mark.parametrize(
    "change", [lambda seed: seed[:-2] + other_than(seed[-2:]), lambda _: "SAAJ" + "A" * 54, lambda _: "é", str.lower]
)
def test_a_seed_with_a_slip_is_no_seed(change: Any) -> None:
    seed = make_seed()
    assert read(UsesServers, TLS | {"NATS_NKEY_SEED": seed}).nats.nkey_seed == seed
    with pytest.raises(BadSettings, match="NATS_NKEY_SEED must be the seed of a user's nkey"):
        read(UsesServers, TLS | {"NATS_NKEY_SEED": change(seed)})


def other_than(end: str) -> str:
    """Two letters that say other bits: the last two of a seed's 290 mean nothing."""
    return "AA" if end[0] != "A" else "BA"


@asynccontextmanager
async def before(url: str, issued: trustme.LeafCert) -> AsyncIterator[int]:
    """A port that speaks TLS as a PostgreSQL server does, before one that speaks none: the embedded build cannot."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    behind = urlsplit(url)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            assert await reader.readexactly(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # SSLRequest
            writer.write(b"S")
            await writer.start_tls(context)
            back, there = await asyncio.open_connection(behind.hostname, behind.port)
            async with asyncio.TaskGroup() as group:
                group.create_task(pour(reader, there))
                group.create_task(pour(back, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, there):
                if end is not None:
                    end.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_a_database_is_asked_over_tls_whose_certificate_is_its_own(database: Any, tmp_path: Path) -> None:
    made: Database = database()
    authority, other = trustme.CA(), trustme.CA()
    for name, each in (("ours", authority), ("others", other)):
        each.cert_pem.write_to_path(str(tmp_path / name))

    def url(port: int, trusted: str) -> str:
        parts = urlsplit(made.url)
        login = parts.netloc.rpartition("@")[0]
        query = f"sslmode=verify-full&sslrootcert={tmp_path / trusted}"
        return parts._replace(netloc=f"{login}@127.0.0.1:{port}", query=query).geturl()

    async with before(made.url, authority.issue_cert("127.0.0.1")) as port:
        connection = await dialer(url(port, "ours"), application="test")()
        assert await connection.fetchval("select current_user") == "events"
        assert connection._transport.get_extra_info("peercert")["subjectAltName"] == (("IP Address", "127.0.0.1"),)
        await connection.close()
        async with await open_pool(url(port, "ours"), application="test") as pool:
            assert await pool.fetchval("select 1") == 1
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
            await dialer(url(port, "others"), application="test")()
    async with before(made.url, authority.issue_cert("db.example")) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for '127\.0\.0\.1'"):
            await dialer(url(port, "ours"), application="test")()
