"""The one clock that services read, so that a journey over days can be tested.

In development `CLOCK_FILE` names a file that holds an offset in seconds (`172800` is two days ahead). Elsewhere the
clock is the system's. Leases and timeouts never use it: they measure time that really passed.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The system's time, in UTC."""
    return datetime.now(UTC)


def offset_clock(file: Path) -> Clock:
    """A clock that adds the seconds written in `file`; a missing or empty file adds nothing."""

    def now() -> datetime:
        try:
            offset = float(file.read_text() or 0)
        except FileNotFoundError:
            offset = 0.0
        return system_clock() + timedelta(seconds=offset)

    return now


def clock_for(app_env: str, clock_file: str) -> Clock:
    """The clock of a service: the file's in development when one is named, else the system's."""
    return offset_clock(Path(clock_file)) if app_env == "development" and clock_file else system_clock
