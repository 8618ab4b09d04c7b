"""Quiet hours: when what can wait does not disturb a person. Pure."""

from datetime import UTC, datetime, time, timedelta, tzinfo


def quiet_until(now: datetime, zone: tzinfo, start: str | None, end: str | None) -> datetime | None:
    """When the quiet hours end that are on now, None while there are none; `start`, `end`: wall times as `22:30`."""
    if start is None or end is None:
        return None
    # A line break at the end got into logs: it was accepted once.
    begins, ends = (time.fromisoformat(wall.strip()) for wall in (start, end))
    there = now.astimezone(zone)
    wall = there.time()
    is_on = begins <= wall < ends if begins < ends else wall >= begins or wall < ends
    if not is_on:
        return None
    day = there.date() + timedelta(days=1 if wall >= ends else 0)
    # Where the clocks are put back, that time comes twice: the first may be over.
    moments = (datetime.combine(day, ends.replace(fold=fold), zone).astimezone(UTC) for fold in (0, 1))
    return next((moment for moment in moments if moment > now), None)
