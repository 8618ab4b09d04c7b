"""What mailer says, in feed MAILER."""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

NoticeKind = Literal["welcome", "completion", "due_soon", "overdue", "weekly_report", "monthly_report"]
"""What a person may switch off; a code is no notice."""
MailKind = Literal["code", "welcome", "completion", "due_soon", "overdue", "weekly_report", "monthly_report"]
FailReason = Literal["refused", "expired", "unknown", "unreadable", "gave_up"]


class MailSent(msgspec.Struct, frozen=True, kw_only=True):
    """The mail server took a letter. `cause` is the event that asked for it; `waited_ms` counts from its time.

    `others` are the further events that the same letter tells of.
    """

    letter_id: UUID
    kind: MailKind
    cause: UUID
    waited_ms: int
    others: tuple[UUID, ...] = ()


class MailFailed(msgspec.Struct, frozen=True, kw_only=True):
    """A letter will not be sent, or nobody knows whether it was (`unknown`)."""

    letter_id: UUID
    kind: MailKind
    cause: UUID
    reason: FailReason
    others: tuple[UUID, ...] = ()


class MailPreferencesChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A person chose which letters to get; only the kinds that changed are there."""

    user_id: UUID
    welcome: bool | UnsetType = UNSET
    completion: bool | UnsetType = UNSET
    due_soon: bool | UnsetType = UNSET
    overdue: bool | UnsetType = UNSET
    weekly_report: bool | UnsetType = UNSET
    monthly_report: bool | UnsetType = UNSET


class MailUnsubscribed(msgspec.Struct, frozen=True, kw_only=True):
    """A person wants no more letters of a kind, by the link in one of them."""

    user_id: UUID
    kind: NoticeKind


class MailSuppressed(msgspec.Struct, frozen=True, kw_only=True):
    """A person's address refused letter after letter: it gets none but codes until it is known to work again."""

    user_id: UUID


class MailResumed(msgspec.Struct, frozen=True, kw_only=True):
    """A suppressed address works again: its person signed in by a code that it took, or an operator says so."""

    user_id: UUID


TYPES: dict[str, type[msgspec.Struct]] = {
    "mailer.MailSent.v1": MailSent,
    "mailer.MailFailed.v1": MailFailed,
    "mailer.MailPreferencesChanged.v1": MailPreferencesChanged,
    "mailer.MailUnsubscribed.v1": MailUnsubscribed,
    "mailer.MailSuppressed.v1": MailSuppressed,
    "mailer.MailResumed.v1": MailResumed,
}
