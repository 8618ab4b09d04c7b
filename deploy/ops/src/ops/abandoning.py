"""Gives up a stream's own history from a number on: its log is right. Who heard that history hears the log instead."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import msgspec
import nats.js.errors
from nats.aio.msg import Msg

from events import acts, streams
from events.acts import By
from events.catalog.feeds import FEEDS
from events.errors import BadAct
from events.feed import Feed
from events.sql import load
from ops.comparing import PULLED, Comparison, Pulled, Report, compare
from ops.places import Places, Unreachable

SQL = load("ops")
EVENTS_SQL = load("events")
SHOWN: Final = 10


class Concerned(msgspec.Struct, frozen=True):
    """A consumer that heard what is given up, where it stands, and what it parked or an operator gave up since."""

    consumer: str
    at: int
    parked: int
    given_up: int


class Fork(msgspec.Struct, frozen=True):
    """What would be given up, whom it concerns, and what that does and does not."""

    feed: str
    seq: int
    events: int
    sample: list[dict[str, Any]]
    replicas: int
    consumers: list[Concerned]
    does: list[str]
    does_not: list[str]


class Abandoned(msgspec.Struct, frozen=True):
    """What was given up, and who hears the log instead."""

    feed: str
    seq: int
    consumers: list[str]


async def plan(places: Places, name: str, seq: int, report: Report) -> Fork:
    """What would be done; raises `Unreachable`, `BadAct` where they part elsewhere or the log is not whole."""
    feed = FEEDS[name]
    found = await compare(places, feed, report)
    concerned = await _concerned(places, feed, seq, found)
    _check(found, concerned, seq)
    events, sample = await _given_up(places, feed, seq, found.stream_last or 0)
    replicas = await _replicas(places, feed, seq)
    anew = f"makes stream {name} anew, with {replicas} replica{'s' * (replicas != 1)}"
    does = [f"{anew}: its relay publishes {found.log_first:,} to {found.log_last:,} of the log"]
    does += [
        f"sets {each.consumer} back from {each.at:,} to {seq - 1:,}: it hears the log's events after that"
        + (f", and forgets {each.parked + each.given_up:,} that it parked or gave up there" if each.parked else "")
        for each in concerned
    ]
    does_not = [
        "undo what the events that are given up have done: rows, letters and notifications stay",
        "touch the log, or consumers that heard the log's events",
    ]
    if "activity" in {each.consumer for each in concerned}:
        beside = "they keep these events, beside the log's of the same numbers, and verify goes on naming that"
        does_not.append(f"change activity's archive and figures: {beside}")
    return Fork(name, seq, events, sample, replicas, concerned, does, does_not)


def _check(found: Comparison, concerned: Sequence[Concerned], seq: int) -> None:
    """Raise `BadAct` for what this decision is not about."""
    parted = found.parted
    if parted is None:
        if not concerned and found.stream_last is not None:
            raise BadAct(f"log and stream of {found.feed} are one, and nobody heard anything else")
        return  # it was cut off before: the rest is to be done
    if parted.how in {"gap", "unsaid"}:
        raise BadAct(f"that is no fork: {parted.says}; {parted.next}")
    if parted.seq != seq:
        raise BadAct(f"{parted.says}: say --abandon-from {parted.seq}")


async def abandon(places: Places, name: str, seq: int, by: By, report: Report) -> Abandoned:
    """Do it: no stream, then the consumers, then the stream anew, so that nobody hears the old one meanwhile.

    Cut off anywhere, the same call does the rest. Raises `BadAct`, `Unreachable`.
    """
    feed, fork = FEEDS[name], await plan(places, name, seq, report)
    event_id = await _log_id(places, feed, seq - 1)
    async with places.database(feed.service) as connection:
        bounds = await connection.fetchrow(EVENTS_SQL.feed_bounds, name)
        about = {"feed": name, "from": seq, "events": fork.events, "replicas": fork.replicas}
        await acts.note(connection, feed.service, "abandon", about, by)
    async with places.jetstream() as js:
        with suppress(nats.js.errors.NotFoundError):  # it was cut off before
            await js.delete_stream(name)
    for each in fork.consumers:
        async with places.database(each.consumer) as connection:
            await acts.rewind(connection, each.consumer, name, (seq - 1, event_id), by, what="abandon")
    async with places.jetstream() as js:
        await streams.apply(js, feed, replicas=fork.replicas, first_seq=bounds["oldest"] if bounds else 1)
    return Abandoned(name, seq, [each.consumer for each in fork.consumers])


async def _replicas(places: Places, feed: Feed, seq: int) -> int:
    """How many replicas the stream has; where the same call deleted it and was cut off, its act remembers."""
    async with places.jetstream() as js:
        with suppress(nats.js.errors.NotFoundError):
            return (await js.stream_info(feed.name)).config.num_replicas or 1
    async with places.database(feed.service) as connection:
        return await connection.fetchval(SQL.abandoned_replicas, feed.name, seq) or 1


async def _concerned(places: Places, feed: Feed, seq: int, found: Comparison) -> list[Concerned]:
    """The consumers that are at a number or beyond and heard another event than the log's, there or where they are."""
    forked = found.parted is not None and found.parted.how == "differs"
    hear = [name for name, feeds in places.hears.items() if feed.name in feeds]
    if missing := [name for name in hear if name not in places.services]:
        raise Unreachable(f"DATABASE_URLS must name {', '.join(missing)} too: they hear {feed.name}")
    concerned = []
    for name in hear:
        async with places.database(name) as connection:
            heard = {row["feed"]: row for row in await connection.fetch(SQL.checkpoints, name)}.get(feed.name)
            [beyond] = await connection.fetch(SQL.beyond, name, feed.name, seq - 1)
        if heard is None or heard["seq"] < seq:
            continue
        if forked or heard["event_id"] is None or await _log_id(places, feed, heard["seq"]) != heard["event_id"]:
            concerned.append(Concerned(name, heard["seq"], beyond["parked"], beyond["given_up"]))
    return concerned


async def _log_id(places: Places, feed: Feed, seq: int) -> UUID | None:
    async with places.database(feed.service) as connection:
        rows = await connection.fetch(EVENTS_SQL.event_ids, feed.name, seq, seq)
    return rows[0]["id"] if rows else None


async def _given_up(places: Places, feed: Feed, first: int, last: int) -> tuple[int, list[dict[str, Any]]]:
    """The stream's messages from a number on that are not the log's: how many, and some of them."""
    count = 0
    sample: list[dict[str, Any]] = []
    async with places.nats(None) as client, places.database(feed.service, None) as connection:
        pulled = Pulled(client, feed.name, first, last)
        try:
            for begin in range(first, last + 1, PULLED):
                end = min(begin + PULLED - 1, last)
                messages = await pulled.up_to(end)
                rows = await connection.fetch(EVENTS_SQL.event_ids, feed.name, begin, end)
                known = {row["seq"]: str(row["id"]) for row in rows}
                others = [seq for seq in sorted(messages) if _header(messages[seq], "id") != known.get(seq)]
                count += len(others)
                sample += [_told(seq, messages[seq]) for seq in others[: SHOWN - len(sample)]]
        finally:
            await pulled.close()
    return count, sample


def _told(seq: int, message: Msg) -> dict[str, Any]:
    shown = {"type": "type", "key": "subject", "time": "time"}
    return {"seq": seq, **{name: _header(message, header) for name, header in shown.items()}}


def _header(message: Msg, name: str) -> str | None:
    return (message.headers or {}).get(f"ce-{name}")
