"""Letters as people read them: Jinja2 templates to MIME messages.

One template a kind and language, with the blocks `subject`, `text` and `html`; `layout.html` is the frame of all.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import Compat32
from email.utils import format_datetime, formataddr
from typing import Any, Final
from uuid import UUID

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from events.catalog.auth import Locale
from events.catalog.mailer import NoticeKind
from mailer.domain import DEFAULT_LOCALE, Letter
from mailer.people import Person
from mailer.seals import Code
from mailer.words import one_line, shortened, words_of

# One encoded word (RFC 2047): `formataddr` makes no second one.
_NAME_BYTES: Final = 45
_LINE: Final = 78  # RFC 5322, section 2.1.1
_MINUTE: Final = timedelta(minutes=1)


class _Policy(Compat32):
    """Headers of one short line of ASCII go as they are: to fold them took a third of a letter's composition."""

    def fold_binary(self, name: str, value: str) -> bytes:
        line = f"{name}: {value}"
        if type(value) is str and line.isascii() and line.isprintable() and len(line) <= _LINE:
            return f"{line}{self.linesep}".encode()
        return super().fold_binary(name, value)


# Not `EmailMessage`: it parses each header that it is given and folds it by its grammar, most of a letter's time
# (docs/adr/0029), and makes an encoded word of a long link, which no mail program follows (RFC 2369).
_POLICY: Final = _Policy(linesep="\r\n")


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A letter ready to be posted."""

    id: str
    sender: str
    recipient: str
    subject: str
    text: str
    content: bytes


class Letters:
    """Writes letters in the name of `product`, from the address `sender`.

    `unsubscribe` gives the address that stops a person's letters of a kind; `sign` puts a signature before a letter.
    """

    def __init__(
        self,
        product: str,
        sender: str,
        unsubscribe: Callable[[UUID, NoticeKind], str],
        sign: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._product = product
        self._sender = sender
        self._unsubscribe = unsubscribe
        self._sign = sign
        loader = PackageLoader("mailer", "")
        # Plain text must not be escaped; the html blocks switch escaping on themselves.
        self._templates = Environment(  # noqa: S701
            loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.filters["shortened"] = shortened

    def write_code(self, letter: Letter, code: Code, now: datetime) -> Mail:
        """The letter that brings a sign-in code, with the minutes it still lives."""
        minutes = max(1, round((code.expires_at - now) / _MINUTE))
        message = self._message(letter, letter.happened_at, code.recipient)
        locale = letter.locale or DEFAULT_LOCALE
        return self._write(letter, locale, message, code.recipient, {"code": code.code, "minutes": minutes})

    def write_notice(self, letter: Letter, person: Person, facts: Sequence[str], now: datetime) -> Mail:
        """A letter that tells a person of events; `facts` are their data as JSON, oldest first.

        It is dated `now`, not when its event happened: it may have been held for a night.
        """
        assert letter.kind != "code"  # noqa: S101 - a code is no notice
        link = self._unsubscribe(letter.subject, letter.kind)
        message = self._message(letter, now, person.recipient, person.name)
        # One click and no page: RFC 8058.
        message["List-Unsubscribe"] = f"<{link}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        words = words_of(letter.kind, facts, person.locale, person.zone)
        about = {"name": person.name, "unsubscribe": link, **words}
        return self._write(letter, person.locale, message, person.recipient, about)

    def _write(
        self, letter: Letter, locale: Locale, message: MIMEMultipart, recipient: str, words: dict[str, Any]
    ) -> Mail:
        template = self._templates.get_template(f"{letter.kind}.{locale}.jinja")
        context = template.new_context({"product": self._product, "locale": locale, **words})
        subject, text, html = ("".join(template.blocks[name](context)).strip() for name in ("subject", "text", "html"))
        message["Subject"] = _folded("Subject", subject)
        for said, subtype in ((text, "plain"), (html, "html")):
            lines = f"{said}\n".replace("\n", "\r\n")  # what is encoded is canonical: RFC 2046, section 4.1.1
            message.attach(MIMEText(lines, subtype, "utf-8", policy=_POLICY))
        return Mail(
            id=str(letter.id),
            sender=self._sender,
            recipient=recipient,
            subject=subject,
            text=text,
            content=self._sign(message.as_bytes()),
        )

    def _message(self, letter: Letter, date: datetime, recipient: str, name: str | None = None) -> MIMEMultipart:
        message = MIMEMultipart("alternative", boundary=letter.id.hex, policy=_POLICY)
        message["From"] = _from(self._product, self._sender)
        shown = one_line(name or "")
        message["To"] = formataddr((shown if len(shown.encode()) <= _NAME_BYTES else "", recipient))
        message["Date"] = format_datetime(date)
        message["Message-ID"] = letter.message_id
        message["Auto-Submitted"] = "auto-generated"
        return message


def _from(product: str, sender: str) -> str:
    if product.isascii() or len(product.encode()) <= _NAME_BYTES:
        return formataddr((product, sender))
    return f"{_folded('From', product)}\r\n <{sender}>"


def _folded(name: str, text: str) -> str:
    """As a header has it, in several encoded words where it is long: RFC 2047."""
    return Header(text, "us-ascii" if text.isascii() else "utf-8", header_name=name).encode(linesep="\r\n")
