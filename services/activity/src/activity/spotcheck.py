"""A second opinion on what is counted event by event: some events looked at one by one, beside their rows."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from activity.recount import Finding
from activity.tables import SQL
from events.postgres import Connection

Row: TypeAlias = tuple[Any, ...]


class Event(Struct, frozen=True):
    """An event of the archive, `data` decoded."""

    number: int
    feed: str
    seq: int
    type: str
    subject: UUID
    time: datetime
    published_at: datetime | None
    heard_at: datetime
    data: Any


def sign_ins(event: Event) -> Iterator[Row]:
    """The steps of sign-ins that an event is: challenge, step, milliseconds waited."""
    if event.type == "auth.OtpRequested.v1":
        yield event.subject, "requested", None
    elif event.type in {"auth.OtpVerified.v1", "auth.OtpRejected.v1"}:
        step = "verified" if event.type == "auth.OtpVerified.v1" else "rejected"
        yield UUID(event.data["challenge_id"]), step, None
    elif event.type == "mailer.MailSent.v1" and event.data["kind"] == "code":
        yield event.subject, "mailed", event.data["waited_ms"]


def messages(event: Event) -> Iterator[Row]:
    """What an event says of a message: channel, kind, outcome, milliseconds waited."""
    service, name, _ = event.type.split(".")
    if name in {"MailSent", "MailFailed", "NotificationDelivered", "NotificationFailed"}:
        told = event.data
        channel = "mail" if service == "mailer" else told["channel"]
        yield channel, told.get("kind"), told.get("reason", "sent"), told.get("waited_ms")


def hearing(event: Event) -> Iterator[Row]:
    """How long an event took, and those that it tells of: feed, number in it, what was reached, milliseconds waited."""
    for reached, at in (("stream", event.published_at), ("activity", event.heard_at)):
        if at:
            yield event.feed, event.seq, reached, max(0, (at - event.time) // timedelta(milliseconds=1))
    if event.type == "core.EventsHeard.v1":
        for batch in event.data["batches"]:
            for nr, waited in enumerate(batch["waited_ms"], start=batch["first"]):
                yield event.data["feed"], nr, event.data["consumer"], waited


_LOOKED_AT: Final[Mapping[str, Callable[[Event], Iterator[Row]]]] = {
    "sign_ins": sign_ins,
    "messages": messages,
    "hearing": hearing,
}


async def spot_check(pool: asyncpg.Pool, sample: int) -> list[Finding]:
    """Look at up to so many events of the archive, others each time, and compare with the rows shown of them."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        shown = {row["projection"]: row["position"] for row in await connection.fetch(SQL.overview_reflected)}
        end = min(shown.get(name, 0) for name in _LOOKED_AT)
        numbers = random.sample(range(1, end + 1), min(sample, end))
        rows = await connection.fetch(SQL.some_events, numbers)
        events = [Event(**{**row, "data": msgspec.json.decode(row["data"])}) for row in rows]
        return [await _finding(connection, name, events) for name in _LOOKED_AT]


async def _finding(connection: Connection, name: str, events: list[Event]) -> Finding:
    expected = Counter((event.number, *row) for event in events for row in _LOOKED_AT[name](event))
    rows = await connection.fetch(getattr(SQL, f"rows_of_{name}"), [event.number for event in events])
    told = Counter(tuple(row) for row in rows)
    wrong = sorted(row[0] for row in (expected - told) + (told - expected))
    about = f"{name}: {len(events):,} events, counted anew"
    return Finding(about, f"number {wrong[0]:,} of the archive is shown otherwise" if wrong else "")
