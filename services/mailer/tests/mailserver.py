"""A real mail server for tests, with STARTTLS and AUTH, that keeps what it is given and can be told to misbehave."""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USERNAME, PASSWORD = "mailer", "a password of many words"

Reply = str | Callable[[SMTP], Awaitable[str]]
"""What the server answers, or something it does first."""


@dataclass(frozen=True)
class Certificates:
    """A certificate for 127.0.0.1, and the authority that signed it (paths of PEM files)."""

    authority: Path
    server: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.key)
        return context


def make_certificates(folder: Path) -> Certificates:
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _name("Test authority")
    own = _certificate(authority, authority_key.public_key(), authority, authority_key.public_key())
    server = _certificate(_name("127.0.0.1"), server_key.public_key(), authority, authority_key.public_key())
    made = Certificates(folder / "authority.pem", folder / "server.pem", folder / "key.pem")
    made.authority.write_bytes(_pem(own.sign(authority_key, hashes.SHA256())))
    made.server.write_bytes(_pem(server.sign(authority_key, hashes.SHA256())))
    made.key.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject: x509.Name, key: Any, issuer: x509.Name, issuer_key: Any) -> x509.CertificateBuilder:
    """What RFC 5280 asks of a certificate; from Python 3.13 on, clients refuse less (VERIFY_X509_STRICT)."""
    now = datetime.now(UTC)
    is_authority = subject == issuer
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(_usage(is_authority=is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class MailServer:
    """`ehlo` to `data` hold what is answered next; when they are empty, 250. `mails` is all that came before a dot.

    `begin` is for DATA itself, before anything of the letter came; when it is empty, 354. It takes up to `hesitates`
    seconds between a dot and its answer.
    """

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    ehlo: deque[Reply] = field(default_factory=deque)
    mail: deque[Reply] = field(default_factory=deque)
    rcpt: deque[Reply] = field(default_factory=deque)
    begin: deque[Reply] = field(default_factory=deque)
    data: deque[Reply] = field(default_factory=deque)
    greeted: int = 0
    logins: list[tuple[str, str]] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    connections: list[SMTP] = field(default_factory=list)
    hanging: bool = False
    hesitates: float = 0.0

    async def handle_EHLO(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.greeted += 1
        await self.next(self.ehlo, server)
        return responses

    async def handle_MAIL(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self.next(self.mail, server)
        if reply.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self.next(self.rcpt, server)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        self.contents.append(envelope.content)
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        self.encrypted.append(session.ssl is not None)
        await asyncio.sleep(random.uniform(0, self.hesitates))
        return await self.next(self.data, server)

    async def next(self, replies: deque[Reply], server: SMTP) -> str:
        reply = replies.popleft() if replies else "250 OK"
        return reply if isinstance(reply, str) else await reply(server)

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode())
        self.logins.append(given)
        return AuthResult(success=given == (USERNAME, PASSWORD), handled=False)


class Connection(SMTP):
    """One that answers DATA as its server says; the library itself asks for the letter, whatever comes."""

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - the library's name
        mails: MailServer = self.event_handler
        reply = await mails.next(mails.begin, self) if mails.begin else "354"
        if reply.startswith("354"):
            await super().smtp_DATA(arg)
        else:
            await self.push(reply)


async def hang(server: SMTP) -> str:
    """Never answer."""
    server.event_handler.hanging = True
    await asyncio.Event().wait()
    return ""


def slow(seconds: float, said: str = "250 OK") -> Reply:
    """Answer late."""

    async def reply(server: SMTP) -> str:
        await asyncio.sleep(seconds)
        return said

    return reply


async def drop(server: SMTP) -> str:
    """End the connection instead of answering."""
    server.transport.abort()
    return "250 nobody hears this"


@asynccontextmanager
async def mail_server(
    port: int, certificates: Certificates | None = None, *, auth: bool = False
) -> AsyncIterator[MailServer]:
    mails = MailServer(port)
    async with serving(mails, certificates, auth=auth):
        yield mails


@asynccontextmanager
async def serving(
    mails: MailServer, certificates: Certificates | None = None, *, auth: bool = False
) -> AsyncIterator[None]:
    """Listen on the server's port while the body runs."""
    loop = asyncio.get_running_loop()

    def connect() -> SMTP:
        connection = Connection(
            mails,
            hostname="mail.test",
            loop=loop,
            tls_context=certificates and certificates.context(),
            require_starttls=certificates is not None,
            auth_required=auth,
            authenticator=mails.authenticate if auth else None,
        )
        mails.connections.append(connection)
        return connection

    server = await loop.create_server(connect, "127.0.0.1", mails.port)
    try:
        yield
    finally:
        server.close()
        for connection in mails.connections:
            if connection.transport is not None and not connection.transport.is_closing():
                connection.transport.abort()
            if connection._handler_coroutine is not None:
                connection._handler_coroutine.cancel()
        handlers = [each._handler_coroutine for each in mails.connections if each._handler_coroutine]
        if handlers:
            await asyncio.wait(handlers, timeout=5)
        mails.connections.clear()
