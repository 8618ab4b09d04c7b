"""A letter: what its id is, how long it may be sent, and what its end is called. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID, uuid5

import msgspec

from events.catalog.activity import ReportReady
from events.catalog.auth import Locale, UserRegistered
from events.catalog.mailer import FailReason, MailFailed, MailKind, MailSent, NoticeKind
from events.catalog.todos import TodoDueSoon, TodoOverdue, TodoToggled

# What a mail server may be asked in all for a letter that does not expire by itself before.
ATTEMPTS_MAX: Final = 1000
DEFAULT_LOCALE: Final[Locale] = "ko"

Settled = Literal["sent", "failed", "unknown", "expired", "skipped"]
_SETTLED_AS: Final[dict[FailReason, Settled]] = {"expired": "expired", "unknown": "unknown"}


_DAY: Final = timedelta(days=1)
# How long news stays news. Every notice ends well before its row is dropped (30 days after it was settled): a feed that
# is heard again from the start finds the letters of the last weeks written, and all others too old to be written.
# A reminder ends at its deadline, if that is sooner.
LIVES: Final[dict[NoticeKind, timedelta]] = {
    "welcome": 7 * _DAY,
    "completion": _DAY,
    "due_soon": 14 * _DAY,
    "overdue": 3 * _DAY,
    "weekly_report": 3 * _DAY,
    "monthly_report": 7 * _DAY,
}
# Completions of a person within this time are told in one letter.
GATHERS_FOR: Final = timedelta(minutes=1)


class Notice(msgspec.Struct, frozen=True):
    """What an event is worth a letter for: its kind, until when it may be sent, from when on, of which to-do."""

    kind: NoticeKind
    expires_at: datetime
    held_until: datetime | None = None
    todo_id: UUID | None = None


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter to send, once for its cause.

    A code's `sealed` holds recipient and code for the mailer's key alone. A notice is written without an address:
    `facts` is the data of its event as JSON, and without a `locale` it speaks the person's.
    """

    id: UUID
    kind: MailKind
    cause: UUID
    subject: UUID
    correlation_id: str
    traceparent: str
    happened_at: datetime
    expires_at: datetime | None
    locale: Locale | None
    message_id: str
    sealed: str | None = None
    facts: str | None = None
    held_until: datetime | None = None
    todo_id: UUID | None = None


def letter_id(cause: UUID, kind: MailKind) -> UUID:
    """The one letter of a kind that an event causes, however often the event is heard."""
    return uuid5(cause, kind)


def address_id(person: UUID) -> UUID:
    """A person's address as an aggregate: what is said of it is told apart from what its person chose."""
    return uuid5(person, "address")


def notice_of(data: object, happened_at: datetime) -> Notice | None:
    """The letter that an event of a person's is worth, None for none."""
    kind: NoticeKind
    match data:
        case UserRegistered():
            kind = "welcome"
        case TodoToggled(completed=True):
            kind = "completion"
        case TodoDueSoon():
            kind = "due_soon"
        case TodoOverdue():
            kind = "overdue"
        case ReportReady():
            kind = "weekly_report" if data.period == "week" else "monthly_report"
        case _:
            return None
    expires_at = happened_at + LIVES[kind]
    if isinstance(data, TodoDueSoon):
        expires_at = min(expires_at, data.due_at)
    todo_id = data.todo_id if isinstance(data, TodoToggled | TodoDueSoon | TodoOverdue) else None
    return Notice(kind, expires_at, happened_at + GATHERS_FOR if kind == "completion" else None, todo_id)


def message_id(letter: UUID, sender: str) -> str:
    """The Message-ID of a letter, the same at every attempt (RFC 5322, section 3.6.4); `sender` is an address."""
    return f"<{letter}@{sender.rpartition('@')[2]}>"


def has_expired(expires_at: datetime | None, now: datetime) -> bool:
    """Whether a letter may no longer be sent."""
    return expires_at is not None and expires_at <= now


def may_go_again(letter: Letter, now: datetime) -> bool:
    """Whether a letter of unknown outcome is worth a second copy: a code that still lives, nothing else."""
    return letter.kind == "code" and not has_expired(letter.expires_at, now)


def sent(letter: Letter, now: datetime, others: Sequence[UUID] = ()) -> MailSent:
    """The mail server took the letter at `now`; `others` are the further events that it tells of."""
    waited = max(0, round((now - letter.happened_at).total_seconds() * 1000))
    return MailSent(letter_id=letter.id, kind=letter.kind, cause=letter.cause, waited_ms=waited, others=tuple(others))


def failed(letter: Letter, reason: FailReason, others: Sequence[UUID] = ()) -> MailFailed:
    """The letter will not be sent, or nobody knows whether it was."""
    return MailFailed(letter_id=letter.id, kind=letter.kind, cause=letter.cause, reason=reason, others=tuple(others))


def settled_as(reason: FailReason) -> Settled:
    """The last state of a letter that failed for `reason`."""
    return _SETTLED_AS.get(reason, "failed")
