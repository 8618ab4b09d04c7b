"""What auth says: one-time codes in feed OTP (short-lived), people and sessions in feed AUTH."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from events.catalog.moment import Moment

Locale = Literal["ko", "en"]
RejectReason = Literal["wrong", "used", "expired", "dead", "unknown"]
Role = Literal["analyst", "operator"]
WallClock = Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""A time of day in its person's zone, `22:30`. `$` lets a last line break in, and must: such ones are in logs."""
EndReason = Literal["logout", "reuse", "revoked"]


class OtpRequested(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in code was asked for. Recipient, code and expiry are inside `sealed`, for the mailer's key alone."""

    challenge_id: UUID
    sealed: str
    locale: Locale | None
    expires_at: Moment


class OtpVerified(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge was answered with its right code, the first time."""

    challenge_id: UUID
    user_id: UUID


class OtpRejected(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to a challenge was refused; the client is never told which `reason` it was."""

    challenge_id: UUID
    reason: RejectReason


class UserRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """A person's first verified sign-in. The address is inside `sealed_contact`, for the mailer's key alone."""

    user_id: UUID
    sealed_contact: str
    locale: Locale | None
    timezone: str | None


class ProfileChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A person changed their profile; only what changed is there, null where a choice was taken back.

    From `quiet_from` to just before `quiet_to`, over midnight where that is earlier, what can wait disturbs nobody.
    """

    user_id: UUID
    name: str | msgspec.UnsetType | None = msgspec.UNSET
    locale: Locale | msgspec.UnsetType | None = msgspec.UNSET
    timezone: str | msgspec.UnsetType | None = msgspec.UNSET
    quiet_from: WallClock | msgspec.UnsetType | None = msgspec.UNSET
    quiet_to: WallClock | msgspec.UnsetType | None = msgspec.UNSET


class RolesChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An operator granted or revoked a role; `roles` are all that the person has after it, sorted."""

    user_id: UUID
    roles: tuple[str, ...]


class UserSignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A session began."""

    user_id: UUID
    session_id: UUID


class UserSignedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A session ended: by the person, here or from another device, or because a spent refresh token came back."""

    user_id: UUID
    session_id: UUID
    reason: EndReason


class UserErased(msgspec.Struct, frozen=True, kw_only=True):
    """A person asked to be forgotten: everything else that was said about them is erased, everywhere."""

    user_id: UUID


TYPES: dict[str, type[msgspec.Struct]] = {
    "auth.OtpRequested.v1": OtpRequested,
    "auth.OtpVerified.v1": OtpVerified,
    "auth.OtpRejected.v1": OtpRejected,
    "auth.UserRegistered.v1": UserRegistered,
    "auth.ProfileChanged.v1": ProfileChanged,
    "auth.RolesChanged.v1": RolesChanged,
    "auth.UserSignedIn.v1": UserSignedIn,
    "auth.UserSignedOut.v1": UserSignedOut,
    "auth.UserErased.v1": UserErased,
}
