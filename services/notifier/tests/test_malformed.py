"""Whatever an event holds, notifier goes on: it applies it or parks it, with a reason that says what is wrong."""

from random import Random

import pytest

from events.clock import system_clock
from local.fixtures import DatabaseFactory
from local.malformed import bodies, heard
from notifier.consumers import hears

FEEDS = {line.feed.name: line for line in hears(system_clock, lambda _: None, lambda: None, lambda: None)}


@pytest.mark.parametrize("feed", FEEDS)
async def test_whatever_an_event_holds_it_is_applied_or_parked(
    database: DatabaseFactory, feed: str, full: bool
) -> None:
    said = list(bodies(feed, Random(feed), 400 if full else 20))
    seq, parked = await heard("notifier", FEEDS[feed], database("notifier").url, system_clock, said)
    assert [each for each in parked if each.reason not in {"undecodable", "rejected"}] == []
    assert 0 < len(parked) < seq == len(said)
