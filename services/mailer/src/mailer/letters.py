"""Letters as people read them: Jinja2 templates to MIME messages.

One template a kind and language, with the blocks `subject`, `text` and `html`; `layout.html` is the frame of all.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.header import Header
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import EmailPolicy
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from events.catalog.auth import Locale
from events.catalog.mailer import NoticeKind
from mailer.domain import DEFAULT_LOCALE, Letter
from mailer.people import Person
from mailer.seals import Code
from mailer.words import shortened, words_of

# One encoded word (RFC 2047): of several, Python's folding adds spaces to the name.
_NAME_BYTES: Final = 45
_LINK: Final = "List-Unsubscribe"
_MINUTE: Final = timedelta(minutes=1)


class _Headers(HeaderRegistry):
    """The usual one makes a class for every header that it meets: a tenth of a letter's time."""

    @cache  # noqa: B019 - there is one, for a handful of names
    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name)


class _Policy(EmailPolicy):
    """Folds what the usual one harms.

    A long link would become an encoded word, which no mail program follows (RFC 2369); a long subject in several of
    those would lose spaces between them.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        """The bytes of a header."""
        if name == _LINK:
            return f"{name}:\r\n {value}\r\n".encode("ascii")
        if name == "Subject" and not value.isascii():
            words = Header(str(value), "utf-8", header_name=name).encode(linesep="\r\n")
            return f"{name}: {words}\r\n".encode("ascii")
        return super().fold_binary(name, value)


# Pure ASCII on the wire: no server needs to know 8BITMIME or SMTPUTF8.
_POLICY: Final = _Policy(linesep="\r\n", cte_type="7bit", header_factory=_Headers())


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
        return self._write(letter, locale, message, {"code": code.code, "minutes": minutes})

    def write_notice(self, letter: Letter, person: Person, facts: Sequence[str], now: datetime) -> Mail:
        """A letter that tells a person of events; `facts` are their data as JSON, oldest first.

        It is dated `now`, not when its event happened: it may have been held for a night.
        """
        assert letter.kind != "code"  # noqa: S101 - a code is no notice
        link = self._unsubscribe(letter.subject, letter.kind)
        message = self._message(letter, now, person.recipient, person.name)
        # One click and no page: RFC 8058.
        message[_LINK] = f"<{link}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        words = words_of(letter.kind, facts, person.locale, person.zone)
        return self._write(letter, person.locale, message, {"name": person.name, "unsubscribe": link, **words})

    def _write(self, letter: Letter, locale: Locale, message: EmailMessage, words: dict[str, Any]) -> Mail:
        template = self._templates.get_template(f"{letter.kind}.{locale}.jinja")
        context = template.new_context({"product": self._product, "locale": locale, **words})
        subject, text, html = ("".join(template.blocks[name](context)).strip() for name in ("subject", "text", "html"))
        message["Subject"] = subject
        message.set_content(text + "\n")
        message.add_alternative(html + "\n", subtype="html")
        message.set_boundary(letter.id.hex)
        recipient: str = message["To"].addresses[0].addr_spec
        return Mail(
            id=str(letter.id),
            sender=self._sender,
            recipient=recipient,
            subject=subject,
            text=text,
            content=self._sign(message.as_bytes()),
        )

    def _message(self, letter: Letter, date: datetime, recipient: str, name: str | None = None) -> EmailMessage:
        message = EmailMessage(_POLICY)
        message["From"] = Address(self._product, addr_spec=self._sender)
        fits = name is not None and len(name.encode()) <= _NAME_BYTES
        message["To"] = Address(name if name and fits else "", addr_spec=recipient)
        message["Date"] = date
        message["Message-ID"] = letter.message_id
        message["Auto-Submitted"] = "auto-generated"
        return message
