"""A letter: what its id is, how long it may be sent, and what its end is called. Pure."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID, uuid5

import msgspec

from events.catalog.auth import Locale
from events.catalog.mailer import FailReason, MailFailed, MailKind, MailSent

# What a mail server may be asked in all for a letter that does not expire by itself before.
ATTEMPTS_MAX: Final = 100
DEFAULT_LOCALE: Final[Locale] = "ko"

Settled = Literal["sent", "failed", "unknown", "expired"]
_SETTLED_AS: Final[dict[FailReason, Settled]] = {"expired": "expired", "unknown": "unknown"}


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter to send, once for its cause; `sealed` is readable by the mailer's key alone."""

    id: UUID
    kind: MailKind
    cause: UUID
    subject: UUID
    correlation_id: str
    traceparent: str
    happened_at: datetime
    expires_at: datetime | None
    locale: Locale
    message_id: str
    sealed: str


def letter_id(cause: UUID, kind: MailKind) -> UUID:
    """The one letter of a kind that an event causes, however often the event is heard."""
    return uuid5(cause, kind)


def message_id(letter: UUID, sender: str) -> str:
    """The Message-ID of a letter, the same at every attempt (RFC 5322, section 3.6.4); `sender` is an address."""
    return f"<{letter}@{sender.rpartition('@')[2]}>"


def has_expired(expires_at: datetime | None, now: datetime) -> bool:
    """Whether a letter may no longer be sent."""
    return expires_at is not None and expires_at <= now


def may_go_again(letter: Letter, now: datetime) -> bool:
    """Whether a letter of unknown outcome is worth a second copy: a code that still lives, nothing else."""
    return letter.kind == "code" and not has_expired(letter.expires_at, now)


def sent(letter: Letter, now: datetime) -> MailSent:
    """The mail server took the letter at `now`."""
    waited = max(0, round((now - letter.happened_at).total_seconds() * 1000))
    return MailSent(letter_id=letter.id, kind=letter.kind, cause=letter.cause, waited_ms=waited)


def failed(letter: Letter, reason: FailReason) -> MailFailed:
    """The letter will not be sent, or nobody knows whether it was."""
    return MailFailed(letter_id=letter.id, kind=letter.kind, cause=letter.cause, reason=reason)


def settled_as(reason: FailReason) -> Settled:
    """The last state of a letter that failed for `reason`."""
    return _SETTLED_AS.get(reason, "failed")
