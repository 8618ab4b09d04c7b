"""What people are notified of: which events, as which kind, with which facts, for how long. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from events.catalog.activity import Period, ReportReady
from events.catalog.quiet import quiet_until
from events.catalog.todos import TodoDueSoon, TodoOverdue, TodoToggled
from events.catalog.zones import known_zones

Kind: TypeAlias = Literal["completion", "due_soon", "overdue", "weekly_report", "monthly_report"]

Channel: TypeAlias = Literal["inbox", "live", "push", "sms"]
Choices: TypeAlias = Mapping[tuple[Kind, Channel], bool]

KEPT: Final = timedelta(days=90)
"""How long a notification stays in its inbox; an event older than that makes none any more."""

_REPORTS: Final[dict[Period, Kind]] = {"week": "weekly_report", "month": "monthly_report"}


def notification_of(event: msgspec.Struct) -> tuple[Kind, dict[str, Any]] | None:
    """Kind and data of what a person is told about an event; None for what is no news to them."""
    match event:
        case TodoToggled(completed=True):
            return "completion", _facts(event, "todo_id", "title", "priority")
        case TodoDueSoon():
            return "due_soon", _facts(event, "todo_id", "title", "priority", "due_at", "due_zone")
        case TodoOverdue():
            return "overdue", _facts(event, "todo_id", "title", "priority", "due_at", "due_zone")
        case ReportReady():
            facts = _facts(event, "period", "timezone", "figures", "previous")
            return _REPORTS[event.period], facts | {"from": event.start, "to": event.end}
    return None


class Preferences(msgspec.Struct, frozen=True):
    """What a person chose: by kind and channel, until when they are not to be disturbed, and each night's quiet hours.

    The last three are their profile's: wall times as `22:30`, in UTC where they name no zone.
    """

    choices: Choices = {}
    do_not_disturb_until: datetime | None = None
    timezone: str | None = None
    quiet_from: str | None = None
    quiet_to: str | None = None
    since: Mapping[tuple[Kind, Channel], datetime] = {}
    """When ways were switched on."""

    def wants(self, kind: Kind, channel: Channel) -> bool:
        """Whether notifications of a kind go this way: all but SMS, unless the person chose otherwise."""
        return self.choices.get((kind, channel), channel != "sms")

    def wanted(self, kind: Kind, channel: Channel, at: datetime) -> bool:
        """Whether what happened then goes this way; not where the way was switched on later, whenever it is heard."""
        on_since = self.since.get((kind, channel))
        return self.wants(kind, channel) and (on_since is None or at >= on_since)

    def rests_until(self, now: datetime) -> datetime | None:
        """Until when the person is not to be disturbed; None where they may be now."""
        zone = ZoneInfo(self.timezone if self.timezone in known_zones() else "UTC")
        ends = (self.do_not_disturb_until, quiet_until(now, zone, self.quiet_from, self.quiet_to))
        return max((end for end in ends if end is not None and end > now), default=None)

    def silences(self, kind: Kind, now: datetime) -> bool:
        """Whether a notification comes without a sound: it keeps its place, for the inbox has no holes."""
        return self.rests_until(now) is not None or not self.wants(kind, "live")


def is_too_old(happened_at: datetime, now: datetime) -> bool:
    """Whether an event lies so far back that its notification would have been dropped again."""
    return happened_at < now - KEPT


def missing(seen: int, up_to: int) -> tuple[int, int] | None:
    """The numbers that a client will not get, first and last, where it goes on after `up_to`; None where it lacks none.

    `seen` is the last that it has; a client that saw more than there is has another history.
    """
    if seen == up_to:
        return None
    return (seen + 1, up_to) if seen < up_to else (up_to + 1, seen)


def _facts(event: msgspec.Struct, *names: str) -> dict[str, Any]:
    return {name: getattr(event, name) for name in names}
