"""Whether `todo-ops status` tells the truth: compared with the facts from just before and just after it was asked."""

from collections.abc import Iterator
from typing import Any

import msgspec

from events.catalog.feeds import FEEDS
from faults.facts import Facts, facts
from faults.world import World


async def lies(world: World, *, all_is_well: bool) -> list[str]:
    """Ask for the status now; what of it is not so. When all is well nothing but waiting letters may be a trouble."""
    before = await facts(world)
    code, said = await world.ops("status", "--json")
    after = await facts(world)
    try:
        told = msgspec.json.decode(said)
    except msgspec.DecodeError:
        return [f"the status is no JSON: {said[:200]}"]
    if not all_is_well:
        _believe(told["troubles"], before, after)
    found = list(_lies(told, code, before, after))
    if all_is_well:
        found += [f"a trouble where there is none: {each}" for each in told["troubles"] if "a letter of" not in each]
    return found


def _believe(troubles: list[str], before: Facts, after: Facts) -> None:
    """What the status found away may have been so for a moment that the facts did not meet: a server that recovers."""
    for facts_ in (before, after):
        for service in list(facts_.heard):
            if any(f"database of {service} does not answer" in each for each in troubles):
                del facts_.heard[service]
                for feed in FEEDS.values():
                    if feed.service == service:
                        facts_.logs.pop(feed.name, None)
        if any("NATS does not answer" in each for each in troubles):
            facts_.streams.clear()
            facts_.away.append("nats")


def _lies(told: dict[str, Any], code: int, before: Facts, after: Facts) -> Iterator[str]:
    troubles = told["troubles"]
    if bool(code) != bool(troubles):
        yield f"exit code {code} with {len(troubles)} troubles"
    yield from _silences(troubles, before, after)
    for feed in told["feeds"]:
        name = feed["feed"]
        yield from _number(f"log of {name}", feed["log"], before.logs.get(name), after.logs.get(name))
        yield from _number(f"stream {name}", feed["stream"], before.streams.get(name), after.streams.get(name))
        yield from _unpublished(feed, before, after)
        for each in feed["consumers"]:
            yield from _consumer(name, each, before, after)


def _silences(troubles: list[str], before: Facts, after: Facts) -> Iterator[str]:
    """What is away all the time must be named."""
    for name in set(before.away) & set(after.away):
        word = "NATS" if name == "nats" else f"database of {name}"
        if not any(word in each for each in troubles):
            yield f"{name} is away, and no trouble names it"
    if "nats" not in before.away and "nats" not in after.away:
        for feed in FEEDS:
            gone = feed not in before.streams and feed not in after.streams
            if gone and not any(f"stream {feed} does not exist" in each for each in troubles):
                yield f"stream {feed} is gone, and no trouble names it"


def _number(what: str, told: int | None, before: int | None, after: int | None) -> Iterator[str]:
    """A number lies between what it was before and after, in whatever direction that went; unknown at one end: any."""
    if before is None and after is None:
        if told is not None:
            yield f"{what} is told as {told}, it is away"
    elif before is not None and after is not None:
        low, high = min(before, after), max(before, after)
        if told is None or not low <= told <= high:
            yield f"{what} is told as {told}, it went from {before} to {after}"


def _unpublished(feed: dict[str, Any], before: Facts, after: Facts) -> Iterator[str]:
    name = feed["feed"]
    log, stream = before.logs.get(name), after.streams.get(name)
    known = name in before.streams and stream is not None
    if known and stream is not None and log is not None and log > stream and before.streams[name] <= stream:
        if not feed["unpublished_seconds"]:
            yield f"{log - stream} events of {name} are unpublished, the status says none waits"
    elif known and feed["log"] is not None and feed["stream"] == feed["log"] and feed["unpublished_seconds"]:
        yield f"all of {name} is published, the status says something waits"


def _consumer(feed: str, told: dict[str, Any], before: Facts, after: Facts) -> Iterator[str]:
    service = told["consumer"]
    first, last = before.heard.get(service, {}).get(feed), after.heard.get(service, {}).get(feed)
    yield from _number(f"{service} in {feed}", told["seq"], first, last)
    logs = (before.logs.get(feed), after.logs.get(feed))
    if first is None or last is None or logs[0] is None or logs[1] is None:
        return
    lag = told["lag_events"]
    if lag is None or not logs[0] - last <= lag <= logs[1] - first:
        yield f"{service} is told to be {lag} behind in {feed}, it was between {logs[0] - last} and {logs[1] - first}"
    if told["parked"] and not before.parked.get(service) and not after.parked.get(service):
        yield f"{service} is told to have parked {told['parked']}, it has none"
