"""Letters as people read them: Jinja2 templates to MIME messages.

One template a kind and language, with the blocks `subject`, `text` and `html`.
"""

from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from mailer.domain import Letter
from mailer.seals import Code

# Pure ASCII on the wire: no server needs to know 8BITMIME or SMTPUTF8.
_POLICY: Final = SMTP.clone(cte_type="7bit")
_MINUTE: Final = timedelta(minutes=1)


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A letter ready to be posted."""

    id: str
    sender: str
    recipient: str
    subject: str
    text: str
    content: bytes


class Letters:
    """Writes letters in the name of `product`, from the address `sender`."""

    def __init__(self, product: str, sender: str) -> None:
        self._product = product
        self._sender = sender
        loader = PackageLoader("mailer", "")
        # Plain text must not be escaped; the html blocks switch escaping on themselves.
        self._templates = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True)  # noqa: S701

    def write_code(self, letter: Letter, code: Code, now: datetime) -> Mail:
        """The letter that brings a sign-in code, with the minutes it still lives."""
        minutes = max(1, round((code.expires_at - now) / _MINUTE))
        return self._write(letter, code.recipient, code=code.code, minutes=minutes)

    def _write(self, letter: Letter, recipient: str, **words: object) -> Mail:
        template = self._templates.get_template(f"{letter.kind}.{letter.locale}.jinja")
        context = template.new_context({"product": self._product, **words})
        subject, text, html = ("".join(template.blocks[name](context)).strip() for name in ("subject", "text", "html"))
        message = self._message(letter, recipient, subject, text, html)
        return Mail(
            id=str(letter.id),
            sender=self._sender,
            recipient=recipient,
            subject=subject,
            text=text,
            content=message.as_bytes(),
        )

    def _message(self, letter: Letter, recipient: str, subject: str, text: str, html: str) -> EmailMessage:
        message = EmailMessage(_POLICY)
        message["From"] = Address(self._product, addr_spec=self._sender)
        message["To"] = Address(addr_spec=recipient)
        message["Subject"] = subject
        message["Date"] = letter.happened_at
        message["Message-ID"] = letter.message_id
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text + "\n")
        message.add_alternative(html + "\n", subtype="html")
        message.set_boundary(letter.id.hex)
        return message
