"""Posts letters to a mail server: SMTP (RFC 5321) over kept connections, encrypted by STARTTLS (RFC 3207).

SMTP cannot be exactly-once (RFC 1047): when the connection ends between the last dot and its answer, nobody knows
whether the server took the letter. That is `Unsure`, and only that: before the server asks for it (354 to DATA) nothing
of a letter goes out. So DATA is spoken here, in two steps, and not by aiosmtplib, whose errors do not tell them apart.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal, TypeAlias

import aiosmtplib
import msgspec
import structlog
from aiosmtplib.protocol import SMTPProtocol

from events.health import Check
from events.tracing import Attributes, hop
from mailer.letters import Mail

# Seconds until the mark is committed, and for DATA from then on. Together they stay under half the lease of a letter:
# whoever is cut off by the lease instead cannot say what became of the letter.
PREPARE: Final = 12.0
TRANSFER: Final = 13.0

_GO_ON: Final = 354
_TAKEN: Final = 250

log = structlog.get_logger(__name__)

Mark: TypeAlias = Callable[[], Awaitable[None]]
"""Commits the point of no return; raises when the letter must not go."""

Security: TypeAlias = Literal["starttls", "tls", "none"]

_SENDER_REFUSED: Final = ": check FROM_EMAIL, SMTP_USERNAME and SMTP_PASSWORD"
# RFC 5321, section 4.2.3: unavailable, not local, not allowed as a name. 552 and 554 are about the letter.
_NO_MAILBOX: Final = {550, 551, 553}
_ENHANCED: Final = re.compile(r"\d\.\d{1,3}\.\d{1,3}(?!\S)")
# X.1: the addresses of a letter, of which 7 and 8 are the sender's; 2.1: a mailbox that is disabled.
_ABOUT_MAILBOX: Final = re.compile(r"5\.(1\.(?![78]$)\d+|2\.1)")
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_DOT: Final = re.compile(rb"^\.", re.MULTILINE)
_TROUBLE = (aiosmtplib.SMTPException, OSError, TimeoutError)


class SmtpError(Exception):
    """A letter was not (surely) taken. The text names error classes and reply codes: replies can quote addresses."""


class Deferred(SmtpError):
    """The letter was not taken and may be later."""


class Refused(SmtpError):
    """The server will not take this letter, ever (a 5xx reply to its recipient or to itself).

    `is_bounce`: it says that nobody has this address. Spam, size or a relay that is denied are the letter's or ours.
    """

    def __init__(self, reason: str, *, is_bounce: bool = False) -> None:
        super().__init__(reason)
        self.is_bounce = is_bounce


class Unsure(SmtpError):
    """The letter went out and no proper answer came."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A mail server; `username` empty: no AUTH. `greeting` is the name that we give ourselves in EHLO.

    AUTH is never spoken without TLS: where `security` is none, `username` is empty.
    """

    host: str
    port: int
    greeting: str
    security: Security = "starttls"
    username: str = ""
    password: str = ""
    ca_file: str = ""


class Smtp:
    """Posts letters to one server. Connections are kept; as many are open as letters are posted at once."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._idle: list[aiosmtplib.SMTP] = []
        if server.username and server.security == "none":
            raise ValueError("credentials never go over clear text")
        self._tls = ssl.create_default_context(cafile=server.ca_file or None)
        self._state = Check("smtp", "ok")

    def check(self) -> Check:
        """ok, or late while the server cannot be talked to: letters wait."""
        return self._state

    async def send(self, mail: Mail, mark: Mark) -> None:
        """Post one letter; `mark` is awaited once the server has agreed to sender and recipient, before DATA.

        Raises `Deferred`, `Refused`, `Unsure`, and whatever `mark` raises.
        """
        server = self._server
        about: Attributes = {"network.protocol.name": "smtp", "server.address": server.host, "server.port": server.port}
        with hop("send smtp", "client", attributes=about) as sending:
            try:
                await self._post(mail, mark)
            except SmtpError as error:
                sending.error = str(error)
                raise

    async def _post(self, mail: Mail, mark: Mark) -> None:
        deadline = asyncio.get_running_loop().time() + PREPARE
        async with self._connection(mail.sender, deadline) as client:
            await self._address(client, mail.recipient, deadline)
            await _commit(mark, deadline)
            deadline = asyncio.get_running_loop().time() + TRANSFER
            protocol = await self._begin(client, deadline)
            await _transfer(protocol, mail, deadline)

    def close(self) -> None:
        """Drop the kept connections."""
        for client in self._idle:
            client.close()
        self._idle.clear()

    @asynccontextmanager
    async def _connection(self, sender: str, deadline: float) -> AsyncIterator[aiosmtplib.SMTP]:
        """A connection of one's own that took the sender, kept for the next letter unless something goes wrong."""
        client = await self._reuse(sender) or await self._open(sender, deadline)
        try:
            yield client
        except BaseException:
            client.close()
            raise
        self._idle.append(client)

    async def _reuse(self, sender: str) -> aiosmtplib.SMTP | None:
        """A kept connection, if it still takes the sender; servers close idle ones without a word, or with a 421."""
        if not self._idle:
            return None
        client = self._idle.pop()
        try:
            # A part of the time, for a dead link must leave enough to open another.
            async with asyncio.timeout(PREPARE / 4):
                await client.mail(sender)
        except _TROUBLE:
            client.close()
            # What ended this one ended the others: to try each would take a letter's whole time.
            self.close()
            return None
        except BaseException:
            client.close()
            raise
        return client

    async def _open(self, sender: str, deadline: float) -> aiosmtplib.SMTP:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=server.greeting,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self._tls,
            username=server.username or None,
            password=server.password or None,
            timeout=None,  # ours hold: one for all that comes before the mark, one for DATA
        )
        try:
            async with asyncio.timeout_at(deadline):
                await client.connect()
                await client.mail(sender)
        except _TROUBLE as error:
            client.close()
            raise self._waits(error) from None
        except BaseException:
            client.close()
            raise
        return client

    async def _address(self, client: aiosmtplib.SMTP, recipient: str, deadline: float) -> None:
        """Have the server agree to the recipient."""
        try:
            async with asyncio.timeout_at(deadline):
                await client.rcpt(recipient)
        except aiosmtplib.SMTPRecipientRefused as error:
            self._report("")
            raise (_reply(error) or Deferred(_named(error))) from None
        except _TROUBLE as error:
            raise self._waits(error) from None

    async def _begin(self, client: aiosmtplib.SMTP, deadline: float) -> SMTPProtocol:
        """Have the server ask for the letter: only then is it known to work, and until then nothing went out."""
        try:
            async with asyncio.timeout_at(deadline):
                answer = await client.execute_command(b"DATA")
            if answer.code != _GO_ON:
                raise aiosmtplib.SMTPDataError(answer.code, answer.message)
            if (protocol := client.protocol) is None or not protocol.is_connected:
                raise aiosmtplib.SMTPServerDisconnected("it asked, and left")
        except _TROUBLE as error:
            if (refusal := _reply(error)) is None:
                raise self._waits(error) from None
            self._report("")
            raise refusal from None
        self._report("")
        return protocol

    def _waits(self, error: BaseException) -> Deferred:
        """Report what is no letter's own fault, not even a 5xx: the server, its certificate, our password or sender."""
        refused = isinstance(error, aiosmtplib.SMTPSenderRefused) and error.code // 100 == 5
        self._report(_named(error) + (_SENDER_REFUSED if refused else ""))
        return Deferred(_named(error))

    def _report(self, trouble: str) -> None:
        state = Check("smtp", "late", f"letters wait: {trouble}") if trouble else Check("smtp", "ok")
        if state != self._state:
            log.warning("the mail server", state=state.state, detail=state.detail)
        self._state = state


async def _commit(mark: Mark, deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await mark()
    except TimeoutError:
        raise Deferred("the database took too long to mark the letter") from None


async def _transfer(protocol: SMTPProtocol, mail: Mail, deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            protocol.write(_dotted(mail.content))
            answer = await protocol.read_response()
        if answer.code != _TAKEN:
            raise aiosmtplib.SMTPDataError(answer.code, answer.message)
    except _TROUBLE as error:
        raise (_reply(error) or Unsure(_named(error))) from None


def _dotted(content: bytes) -> bytes:
    """A letter with its end: a line that begins with a dot gets another (RFC 5321, section 4.5.2)."""
    return _DOT.sub(b"..", _LINE_END.sub(b"\r\n", content).removesuffix(b"\r\n")) + b"\r\n.\r\n"


def _reply(error: BaseException) -> SmtpError | None:
    """What a reply of the server means (RFC 5321, section 4.2.1); None when there was no proper one."""
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        return None
    match error.code // 100:
        case 4:
            return Deferred(_named(error))
        case 5:
            return Refused(_named(error), is_bounce=_is_bounce(error))
    return None


def _is_bounce(error: aiosmtplib.SMTPResponseException) -> bool:
    """Whether a reply to RCPT is about the mailbox; an enhanced code (RFC 3463) has the last word."""
    if not isinstance(error, aiosmtplib.SMTPRecipientRefused) or error.code not in _NO_MAILBOX:
        return False
    enhanced = _ENHANCED.match(error.message)
    return enhanced is None or _ABOUT_MAILBOX.fullmatch(enhanced[0]) is not None


def _named(error: BaseException) -> str:
    code = getattr(error, "code", None)
    return f"{type(error).__name__} {code}" if isinstance(code, int) else type(error).__name__
