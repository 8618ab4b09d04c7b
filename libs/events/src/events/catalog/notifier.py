"""What notifier says, in feed NOTIFIER."""

from typing import Literal
from uuid import UUID

import msgspec

Channel = Literal["push", "sms"]
DeliveryFailure = Literal["refused", "unregistered", "expired", "unknown", "capped"]


class NotificationDelivered(msgspec.Struct, frozen=True, kw_only=True):
    """A provider took a notification. `cause` is the event that it tells of; `waited_ms` counts from its time.

    `kind`: what it tells (`completion`, `phone_code`, ...); older events do not say it.
    """

    delivery_id: UUID
    channel: Channel
    cause: UUID
    waited_ms: int
    kind: str | None = None


class NotificationFailed(msgspec.Struct, frozen=True, kw_only=True):
    """A notification will not go this way, or nobody knows whether it went (`unknown`).

    `capped`: the person got as many that way as a day allows. `kind`: as of what was delivered.
    """

    delivery_id: UUID
    channel: Channel
    cause: UUID
    reason: DeliveryFailure
    kind: str | None = None


TYPES: dict[str, type[msgspec.Struct]] = {
    "notifier.NotificationDelivered.v1": NotificationDelivered,
    "notifier.NotificationFailed.v1": NotificationFailed,
}
