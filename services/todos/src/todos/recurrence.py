"""When a recurring to-do is due again: rules of RFC 5545 (by python-dateutil) over wall time in an IANA zone."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from dateutil import rrule
from msgspec import Struct

from events.catalog.zones import known_zones

_HORIZON: Final = timedelta(days=366 * 10)
_PART: Final = re.compile(r"(?P<name>[A-Z]+)=(?P<value>[A-Z0-9,+-]+)")
_NAMES: Final = frozenset(
    "FREQ INTERVAL COUNT UNTIL BYDAY BYMONTHDAY BYYEARDAY BYWEEKNO BYMONTH BYSETPOS WKST".split()  # noqa: SIM905
)
_FREQUENCIES: Final = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
_LONGEST: Final = 1000
_EARLIEST: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall time
_FAULTS: Final = (ValueError, TypeError, IndexError, AttributeError, OverflowError)
"""What dateutil raises for what is no rule, when it reads it or when it follows it."""


class BadRule(Exception):
    """A rule that is none, or that no to-do can follow."""


class _Over(Exception):
    """The rule's last year is over."""


class _Years(rrule._iterinfo):  # noqa: SLF001 - there is no other place to end it
    """What dateutil asks at each new month or year.

    It compares UNTIL with what it found alone: a rule that finds nothing, as each 30 February, would be followed to the
    year 9999, for seconds in which nobody else is served.
    """

    def rebuild(self, year: int, month: int) -> None:
        """Go on with a month; raises `_Over`."""
        until: datetime = self.rrule._until  # type: ignore[attr-defined]  # noqa: SLF001 - always there, `_after` says it
        if year > until.year:
            raise _Over
        super().rebuild(year, month)


rrule._iterinfo = _Years  # type: ignore[misc]  # noqa: SLF001


class Occurrence(Struct, frozen=True):
    """The next time: `wall_time` by the rule, `due_at` as a moment, and the rule that goes on from there."""

    rule: str
    wall_time: datetime
    due_at: datetime


@lru_cache(1024)
def zone_of(name: str) -> ZoneInfo:
    """An IANA time zone; raises `LookupError` for what is none."""
    if name not in known_zones():
        raise LookupError(name)
    return ZoneInfo(name)


def wall_time(moment: datetime, zone: str) -> datetime:
    """What a wall clock of the zone shows."""
    return moment.astimezone(zone_of(zone)).replace(tzinfo=None)


def moment(wall: datetime, zone: str) -> datetime:
    """The moment, in UTC, of a wall time: the first of two, a skipped one by the offset before (RFC 5545)."""
    return wall.replace(tzinfo=zone_of(zone), fold=0).astimezone(UTC)


def canonical(rule: str, wall: datetime, zone: str) -> str:
    """The rule as it is kept; raises `BadRule` for one that is malformed, or never comes after `wall`.

    Also for one that began before 1970: what was missed since then is gone through one by one.
    """
    if wall < _EARLIEST:
        raise BadRule("began before 1970")
    kept = rule.strip().upper().removeprefix("RRULE:")
    if following(kept, wall, zone, datetime.min.replace(tzinfo=UTC)) is None:
        raise BadRule("never comes")
    return kept


def following(rule: str, wall: datetime, zone: str, now: datetime) -> Occurrence | None:
    """The first occurrence after `wall` that lies in the future; None when the rule has ended (or takes ten years).

    Those that were missed count towards COUNT. Raises `BadRule`.
    """
    parts = _parts(rule)
    count = int(parts.pop("COUNT", "0"))
    try:
        return _next(parts, count, wall, zone, now)
    except _Over:
        return None
    except _FAULTS as error:
        raise BadRule("not a rule of RFC 5545") from error


def _next(parts: dict[str, str], count: int, wall: datetime, zone: str, now: datetime) -> Occurrence | None:
    for number, at in enumerate(_after(parts, wall, zone, now), start=1):
        if count and number >= count:
            return None
        due_at = moment(at, zone)
        if due_at > now:
            rest = parts | ({"COUNT": str(count - number)} if count else {})
            return Occurrence(_text(rest), at, due_at)
    return None


def _parts(rule: str) -> dict[str, str]:
    found = [_PART.fullmatch(part) for part in rule.split(";")]
    parts = {match["name"]: match["value"] for match in found if match}
    if len(parts) < len(found) or parts.keys() - _NAMES or parts.get("FREQ") not in _FREQUENCIES:
        raise BadRule("not a rule of RFC 5545 by days, weeks, months or years")
    for name in ("INTERVAL", "COUNT"):
        if not (parts.get(name, "1").isdecimal() and 1 <= int(parts.get(name, "1")) <= _LONGEST):
            raise BadRule(f"{name} must be from 1 to {_LONGEST}")
    if {"COUNT", "UNTIL"} <= parts.keys():
        raise BadRule("COUNT and UNTIL exclude each other")
    return parts


def _after(parts: dict[str, str], wall: datetime, zone: str, now: datetime) -> Iterator[datetime]:
    """The rule's wall times after `wall`, up to ten years after it and now: a rule that never comes must end, too."""
    start = max(wall, wall_time(now, zone)) if now > datetime(2, 1, 1, tzinfo=UTC) else wall
    end = start + _HORIZON
    until = min(_until(parts["UNTIL"], zone), end) if "UNTIL" in parts else end
    rule = rrule.rrulestr(_text(parts | {"UNTIL": f"{until:%Y%m%dT%H%M%S}"}), dtstart=wall)
    return (at for at in rule if at > wall)


def _until(text: str, zone: str) -> datetime:
    try:
        if "T" not in text:
            return datetime.combine(datetime.strptime(text, "%Y%m%d"), time.max)  # noqa: DTZ007 - a wall time
        at = datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - a wall time
    except ValueError as error:
        raise BadRule("UNTIL must be a date or a time as in RFC 5545") from error
    try:
        return wall_time(at.replace(tzinfo=UTC), zone) if text.endswith("Z") else at
    except OverflowError:  # calendars write the year 9999 for never
        return at


def _text(parts: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())
