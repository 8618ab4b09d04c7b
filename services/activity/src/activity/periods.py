"""A person's weeks and months: where each begins, when it is closed, what its report says. Pure.

A period is known by the date of its first day, whatever the zone: none is closed twice, none is left out. Each begins
where the one before ended, also where the person's zone changed in between.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct

from events.catalog.activity import Figures, Period, ReportReady

DEFAULT_ZONE: Final = "Asia/Seoul"
PERIODS: Final[tuple[Period, ...]] = ("week", "month")
_NINE: Final = time(9)
_DAY: Final = timedelta(days=1)
_REPORT: Final = UUID("5ddab6a1-4b6c-5f0e-8e3e-0f2f6c1b7d52")


class Open(Struct, frozen=True):
    """A period that is not closed yet; `since` is the moment where it begins."""

    period: Period
    first_day: date
    since: datetime


class Span(Struct, frozen=True):
    """From `since` to just before `until`; `last_day` is its last date in the person's zone."""

    since: datetime
    until: datetime
    last_day: date


class Tally(Struct, frozen=True):
    """What a person did in a span; `doings` counts everything that they did to their to-dos."""

    doings: int
    created: int
    completed: int
    streak: int
    busiest_hours: tuple[int, ...]
    overdue: int


@cache
def _zones() -> frozenset[str]:
    # Not what is there on some machines alone, and differs between them.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def zone_of(name: str | None) -> ZoneInfo:
    """A person's time zone: the default where none was chosen, or one that is not known here."""
    return ZoneInfo(name if name in _zones() else DEFAULT_ZONE)


def opened(period: Period, at: datetime, zone: ZoneInfo) -> Open:
    """The period in which a moment lies."""
    first = _first(period, at.astimezone(zone).date())
    return Open(period, first, _moment(first, zone))


def following(this: Open, zone: ZoneInfo) -> Open:
    """The period after this one, when this one is closed in this zone."""
    first = _next(this)
    return Open(this.period, first, _moment(first, zone))


def closes_at(this: Open, zone: ZoneInfo) -> datetime:
    """When a period is closed: nine o'clock on the day after its last."""
    return _moment(_next(this), zone, _NINE)


def latest_due(this: Open, zone: ZoneInfo, now: datetime) -> Open:
    """Of a period that is due and those after it, the last that is due too: the others are too old to be told."""
    after = following(this, zone)
    while closes_at(after, zone) <= now:
        this, after = after, following(after, zone)
    return this


def span_of(this: Open, zone: ZoneInfo) -> Span:
    """What a period covers when it is closed in this zone."""
    return Span(this.since, following(this, zone).since, _next(this) - _DAY)


def span_before(this: Open, zone: ZoneInfo) -> Span:
    """What the period before covers, by the calendar of this zone."""
    last = this.first_day - _DAY
    return Span(_moment(_first(this.period, last), zone), this.since, last)


def report_id(person_id: UUID, this: Open) -> UUID:
    """The aggregate of a report: one a person and period, for ever."""
    return uuid5(_REPORT, f"{person_id} {this.period} {this.first_day}")


def report(person_id: UUID, this: Open, zone: ZoneInfo, tally: Tally, before: Tally | None) -> ReportReady:
    """What is said of a closed period; `before` is None for somebody who was not there yet."""
    span = span_of(this, zone)
    return ReportReady(
        user_id=person_id,
        period=this.period,
        start=span.since,
        end=span.until,
        timezone=zone.key,
        figures=figures_of(tally),
        previous=figures_of(before) if before else None,
    )


def figures_of(tally: Tally) -> Figures:
    """A tally as it is told."""
    return Figures(
        created=tally.created,
        completed=tally.completed,
        completion_rate=tally.completed / tally.created if tally.created else None,
        streak=tally.streak,
        busiest_hours=tally.busiest_hours,
        overdue=tally.overdue,
    )


def _first(period: Period, day: date) -> date:
    return day.replace(day=1) if period == "month" else day - timedelta(days=day.weekday())


def _next(this: Open) -> date:
    days = 31 if this.period == "month" else 7
    return _first(this.period, this.first_day + timedelta(days=days))


def _moment(day: date, zone: ZoneInfo, at: time = time()) -> datetime:
    """A wall time as a moment: the first of two, a skipped one by the offset before (RFC 5545)."""
    return datetime.combine(day, at, zone).astimezone(UTC)
