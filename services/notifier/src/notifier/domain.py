"""What people are notified of: which events, as which kind, with which facts, for how long. Pure."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import msgspec

from events.catalog.activity import Period, ReportReady
from events.catalog.todos import TodoDueSoon, TodoOverdue, TodoToggled

Kind: TypeAlias = Literal["completion", "due_soon", "overdue", "weekly_report", "monthly_report"]

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
