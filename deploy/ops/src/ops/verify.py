"""Whether all copies say the same: streams their logs, checkpoints, the archive, and states their events."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, Literal, TypeAlias

import asyncpg
import msgspec

from events.catalog.feeds import FEEDS
from events.errors import EventsError
from events.feed import Feed
from events.sql import load
from ops.comparing import PART, Comparison, Report, compare, parts_of
from ops.places import Places
from ops.services import NotHere, ask
from ops.status import LATE

SQL = load("ops")
EVENTS_SQL = load("events")
ARCHIVE: Final = "activity"
_CHECKS: Final = {"todos": "rows", "activity": "archive and figures"}
"""What each service's own `verify` holds against its events."""


Part: TypeAlias = Literal["streams", "consumers", "archive", "states"]


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how much of it, and what is wrong (empty: nothing); what to do next."""

    about: str
    seen: str
    wrong: str = ""
    next: str = ""


async def verify(places: Places, report: Report, only: Collection[Part] = ()) -> list[Finding]:
    """Look through everything that DATABASE_URLS names; what does not answer is a finding, never an error."""
    looks = {part: look for part, look in _LOOKS.items() if not only or part in only}
    return [each for look in looks.values() for each in await look(places, report)]


async def _all_streams(places: Places, report: Report) -> list[Finding]:
    """Each log and its stream."""
    return await _asked(
        {f"{feed.name}: log and stream": partial(_histories, places, feed, report) for feed in _feeds(places)}
    )


async def _all_consumers(places: Places, _: Report) -> list[Finding]:
    """Each consumer's place in each feed."""
    looks = {
        f"{feed.name}: {name} heard the log": partial(_checkpoint, places, feed, name)
        for feed in _feeds(places)
        for name in places.services
        if feed.name in places.hears[name]
    }
    return await _asked(looks)


async def _all_archive(places: Places, report: Report) -> list[Finding]:
    """What activity keeps of each feed."""
    feeds = _feeds(places) if ARCHIVE in places.services else []
    return await _asked({f"{feed.name}: archive equals log": partial(_archive, places, feed, report) for feed in feeds})


async def _all_states(places: Places, _: Report) -> list[Finding]:
    """What only a service's own code can say of its rows."""
    there = [service for service in _CHECKS if service in places.services]
    return await _asked(
        {f"{name}: {_CHECKS[name]} are what the events say": partial(_states, places, name) for name in there}
    )


def _feeds(places: Places) -> list[Feed]:
    return [feed for feed in FEEDS.values() if feed.service in places.services]


async def _asked(looks: Mapping[str, Callable[[], Awaitable[list[Finding]]]]) -> list[Finding]:
    """One look after another, each by what it is about."""
    found = []
    for about, look in looks.items():
        try:
            found += await look()
        except EventsError as error:
            found.append(Finding(about, "nothing", str(error), "ask again once it answers"))
    return found


async def _histories(places: Places, feed: Feed, report: Report) -> list[Finding]:
    return list(_told(await compare(places, feed, report)))


def _told(found: Comparison) -> Iterator[Finding]:
    """A log and its stream, as findings."""
    parted = found.parted
    gap = parted is not None and parted.how == "gap"
    log, stream = f"{found.feed}: log without gaps", f"{found.feed}: stream equals log"
    until = parted.seq - 1 if parted is not None and gap else found.log_last
    seen = f"{found.log_first:,} to {until:,}" if until else "empty"
    yield Finding(log, seen, parted.says, parted.next) if parted and gap else Finding(log, seen)
    seen = f"{found.compared:,} numbers"
    if parted and not gap:
        yield Finding(stream, seen, parted.says, parted.next)
    elif found.trouble:
        yield Finding(stream, seen, found.trouble, f"todo-ops relay check {found.feed}")
    elif found.waits > LATE:
        wrong = f"{found.unpublished:,} events wait to be published for {found.waits:.0f} s"
        yield Finding(stream, seen, wrong, f"todo-ops relay check {found.feed}")
    else:
        yield Finding(stream, seen)


async def _checkpoint(places: Places, feed: Feed, consumer: str) -> list[Finding]:
    """Whether a consumer heard the event that the log has under its checkpoint's number."""
    about = f"{feed.name}: {consumer} heard the log"
    async with places.database(consumer) as connection:
        heard = {row["feed"]: row for row in await connection.fetch(SQL.checkpoints, consumer)}.get(feed.name)
    if heard is None or not heard["seq"]:
        return [Finding(about, "nothing yet")]
    seq, seen = heard["seq"], f"up to {heard['seq']:,}"
    async with places.database(feed.service) as connection:
        bounds = await connection.fetchrow(EVENTS_SQL.feed_bounds, feed.name)
        rows = await connection.fetch(EVENTS_SQL.event_ids, feed.name, seq, seq)
    if bounds is None or seq > bounds["last_seq"]:
        return [Finding(about, seen, "its log does not go so far", f"todo-ops relay check {feed.name}")]
    if rows and heard["event_id"] and rows[0]["id"] != heard["event_id"]:
        return [Finding(about, seen, f"it heard another event under {seq:,}", _rewind(consumer, feed, seq - 1))]
    return [Finding(about, seen)]


def _rewind(consumer: str, feed: Feed, seq: int) -> str:
    return f"once stream and log are one: todo-ops consumer rewind {consumer} {feed.name} --to {seq}, or further back"


async def _archive(places: Places, feed: Feed, report: Report) -> list[Finding]:
    """Whether the archive holds what the log says, up to where activity heard it."""
    async with places.database(ARCHIVE, None) as archive, places.database(feed.service, None) as log:
        heard = {row["feed"]: row["seq"] for row in await archive.fetch(SQL.checkpoints, ARCHIVE)}.get(feed.name, 0)
        # Before the archive: what is redriven meanwhile is in both.
        aside = {row["seq"] for row in await archive.fetch(SQL.aside, ARCHIVE, feed.name)}
        about, compared = f"{feed.name}: archive equals log", 0
        async for rows in parts_of(log, SQL.log_hashes, feed.name, 0, heard):
            first, last = rows[0]["seq"] - 1, rows[-1]["seq"]
            held: dict[int, list[asyncpg.Record]] = defaultdict(list)
            for kept in await archive.fetch(SQL.archive_hashes, feed.name, first, last, 2 * PART):
                held[kept["seq"]].append(kept)
            for row in rows:
                if wrong := _differs(feed, row, held[row["seq"]], aside):
                    where = f"{compared:,} numbers"
                    return [Finding(about, where, wrong, "python -m activity verify tells more; the log is right")]
                compared += 1
            report(f"archive of {feed.name}", last, heard)
        return [Finding(about, f"{compared:,} numbers")]


def _differs(feed: Feed, said: asyncpg.Record, held: Sequence[asyncpg.Record], aside: set[int]) -> str:
    seq = said["seq"]
    if not held:
        lawful = seq in aside or said["is_erased"] or feed.trimmed
        return "" if lawful else f"the archive lacks {seq:,}"
    if any(each["id"] != said["id"] for each in held):
        return f"the archive holds another event under {seq:,}"
    if len(held) > 1:
        return f"the archive holds {seq:,} twice"
    if feed.trimmed or said["is_erased"] or held[0]["is_erased"]:  # of codes without the sealed part
        return ""
    return "" if held[0]["hash"] == said["hash"] else f"what the archive says under {seq:,} is not what was said"


async def _states(places: Places, service: str) -> list[Finding]:
    about = f"{service}: {_CHECKS[service]} are what the events say"
    try:
        code, said = await ask(places, service, "verify")
    except NotHere as error:
        return [Finding(about, "not asked", next=str(error))]
    lines = said.splitlines() or ["nothing said"]
    if not code:
        return [Finding(about, lines[-1])]
    wrong = "; ".join(line for line in lines if not line.startswith("ok"))
    return [Finding(about, "all", wrong, f"python -m {service} verify")]


_LOOKS: Final[Mapping[Part, Callable[[Places, Report], Awaitable[list[Finding]]]]] = {
    "streams": _all_streams,
    "consumers": _all_consumers,
    "archive": _all_archive,
    "states": _all_states,
}
