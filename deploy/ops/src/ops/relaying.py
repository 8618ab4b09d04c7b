"""What a feed's relay would do now: publish what follows, or stand before what an operator must decide."""

from typing import Any, Final

import msgspec

from events.catalog.feeds import FEEDS
from events.sql import load
from ops.comparing import Comparison, Report, compare
from ops.places import Places

SQL = load("ops")
SHOWN: Final = 10


class Check(msgspec.Struct, frozen=True):
    """A comparison, some of the events that would be published next, and what the relay does, in words."""

    found: Comparison
    next: list[dict[str, Any]]
    verdict: str
    well: bool


async def check(places: Places, name: str, report: Report) -> Check:
    """Look, and change nothing; raises `Unreachable`, `NotMigrated`."""
    feed = FEEDS[name]
    found = await compare(places, feed, report)
    after = max(found.stream_last or 0, found.log_first - 1)
    async with places.database(feed.service) as connection:
        rows = await connection.fetch(SQL.log_next, name, after, SHOWN)
    return Check(found, [dict(row) for row in rows], _verdict(found, after), not (found.parted or found.trouble))


def _verdict(found: Comparison, after: int) -> str:
    if found.parted:
        return f"it publishes nothing: {found.parted.says}; {found.parted.next}"
    would = f"{found.unpublished:,} events, {after + 1:,} to {found.log_last:,}" if found.unpublished else "nothing"
    if found.trouble:
        return f"it publishes nothing: {found.trouble}. After that it would publish {would}"
    if not found.unpublished:
        return "it would publish nothing: the stream is the log"
    skips = after - (found.stream_last or 0)
    passed = f"pass over {skips:,} that were trimmed, then " if skips else ""
    return f"it would {passed}publish {would}; the first waits for {found.waits:.0f} s"
