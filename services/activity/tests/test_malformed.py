"""Whatever an event holds, activity goes on: it applies it or parks it, with a reason that says what is wrong."""

from random import Random

import pytest

from activity.consumers import hears
from events.clock import system_clock
from local.fixtures import DatabaseFactory
from local.malformed import bodies, heard

FEEDS = {line.feed.name: line for line in hears(system_clock, lambda: None, lambda: None)}


@pytest.mark.parametrize("feed", FEEDS)
async def test_whatever_an_event_holds_it_is_applied_or_parked(
    database: DatabaseFactory, feed: str, full: bool
) -> None:
    said = list(bodies(feed, Random(feed), 400 if full else 20))
    seq, parked = await heard("activity", FEEDS[feed], database("activity").url, system_clock, said)
    assert [each for each in parked if each.reason not in {"undecodable", "rejected"}] == []
    assert 0 < len(parked) < seq == len(said)
