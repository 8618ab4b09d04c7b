"""What mailer says, in feed MAILER."""

from typing import Literal
from uuid import UUID

import msgspec

MailKind = Literal["code", "welcome"]
FailReason = Literal["refused", "expired", "unknown", "unreadable", "gave_up"]


class MailSent(msgspec.Struct, frozen=True, kw_only=True):
    """The mail server took a letter. `cause` is the event that asked for it; `waited_ms` counts from its time."""

    letter_id: UUID
    kind: MailKind
    cause: UUID
    waited_ms: int


class MailFailed(msgspec.Struct, frozen=True, kw_only=True):
    """A letter will not be sent, or nobody knows whether it was (`unknown`)."""

    letter_id: UUID
    kind: MailKind
    cause: UUID
    reason: FailReason


TYPES: dict[str, type[msgspec.Struct]] = {
    "mailer.MailSent.v1": MailSent,
    "mailer.MailFailed.v1": MailFailed,
}
