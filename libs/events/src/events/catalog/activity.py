"""What activity says, in feed ACTIVITY."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from events.catalog.moment import Moment

Period = Literal["week", "month"]
Hour = Annotated[int, msgspec.Meta(ge=0, le=23)]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did in a period.

    `completion_rate` is completed to created, None where nothing was created; `streak` counts the days in a row, up to
    the period's last, on which a to-do was completed; `busiest_hours` are hours of the day in the person's zone, the
    busiest first; `overdue` counts deadlines that passed unmet.
    """

    created: int
    completed: int
    completion_rate: float | None
    streak: int
    busiest_hours: tuple[Hour, ...]
    overdue: int


class ReportReady(msgspec.Struct, frozen=True, kw_only=True):
    """A person's week or month, `start` to just before `end`, is closed; `previous` is the period before it.

    `start` and `end` are midnights in `timezone`, on the wire `from` and `to`; after a change of zone, `start` is where
    the period before ended: no moment counts twice, or not at all.
    """

    user_id: UUID
    period: Period
    start: Moment = msgspec.field(name="from")
    end: Moment = msgspec.field(name="to")
    timezone: str
    figures: Figures
    previous: Figures | None


TYPES: dict[str, type[msgspec.Struct]] = {
    "activity.ReportReady.v1": ReportReady,
}
