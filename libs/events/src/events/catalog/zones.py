"""Time zones that a person may name."""

from functools import cache
from zoneinfo import available_timezones


@cache
def known_zones() -> frozenset[str]:
    """The names of the IANA database; not those that are there on some machines alone, and differ between them."""
    return frozenset(available_timezones() - {"localtime", "Factory"})
