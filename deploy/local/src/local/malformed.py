"""Bodies of events that no service of ours says, and what a consumer makes of them. For tests."""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import asyncpg
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from events.applying import Applier
from events.catalog.feeds import FEEDS
from events.catalog.types import TYPES
from events.clock import Clock
from events.codec import Codec
from events.envelope import Envelope, subject_of, to_headers
from events.hearing import Hears
from events.ids import uuid7
from events.sql import load
from local.layout import REPOSITORY

SQL: Final = load("events")
_GOLDEN: Final = REPOSITORY / "libs" / "events" / "tests" / "golden"
_MOMENT: Final = datetime(2026, 11, 28, 10, tzinfo=UTC)
_HOSTILE: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 2**31, 2**63, 2**200, 0.5, 1e308, float("nan"), [], {}, [[]], [None], {"": None},
    "", " ", "\0", "a\0b", "\ud800", "\u202e", "🦄" * 50, "x" * 70_000, "%s", "'; drop table archive; --", "ko-\n",
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z", "2026-11-28T10:00:00", "1970-01-01", "00000000-0000-0000-0000-000000000000",
    "Etc/Nowhere", "../../etc/passwd", "Asia/Seoul\0", "NaN",
)  # fmt: skip
_RAW: Final = (
    b"", b" ", b"null", b"[]", b"0", b'""', b"{", b"{}", b'{"a":', b"\xff", b'{"title": "\xff"}', b"\xef\xbb\xbf{}",
    b"[" * 20_000, b'{"a":' * 20_000, b"{}{}", b'{"a": 1, "a": 2}',
)  # fmt: skip


class Parked(Struct, frozen=True):
    """What was parked: of which type, why, and where in the code."""

    type: str
    reason: str
    detail: str
    stack: str


def bodies(feed: str, random: Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Types that a feed carries, with bodies: as they are, broken, and `count` with something else in one place."""
    for folder in sorted(_GOLDEN.iterdir()):
        if _is_said_in(feed, folder.name):
            for file in sorted(folder.glob("*.json")):
                raw = file.read_bytes()
                yield folder.name, raw
                yield from ((folder.name, broken) for broken in (*_RAW, raw[:-2], raw + b"}"))
                for _ in range(count):
                    yield folder.name, json.dumps(_changed(json.loads(raw), random)).encode()


def _is_said_in(feed: str, name: str) -> bool:
    if name == "auth.OtpRequested.v1":
        return feed == "OTP"
    return feed != "OTP" and name.partition(".")[0] in {FEEDS[feed].service, "core"}


def _changed(data: Any, random: Random) -> Any:
    """The same with something else, something missing or something more in one place."""
    changed = deepcopy(data)
    within = random.choice([each for each in _containers(changed) if each] or [changed])
    key = random.choice(list(within)) if isinstance(within, dict) else random.randrange(len(within))
    match random.randrange(6):
        case 0 if isinstance(within, dict):
            del within[key]
        case 1 if isinstance(within, dict):
            within["unknown"] = random.choice(_HOSTILE)
        case _:
            within[key] = random.choice(_HOSTILE)
    return changed


def _containers(data: Any) -> Iterator[Any]:
    if isinstance(data, dict | list):
        yield data
        for each in data.values() if isinstance(data, dict) else data:
            yield from _containers(each)


async def heard(
    consumer: str, hears: Hears, url: str, clock: Clock | None, said: Sequence[tuple[str, bytes]]
) -> tuple[int, list[Parked]]:
    """Hear bodies as one feed, each about somebody else; how far the checkpoint came, and what was parked."""
    connection = await asyncpg.connect(url)
    try:
        await connection.fetch(SQL.checkpoint_open, consumer, hears.feed.name)
        applier = Applier(consumer, hears, Codec(TYPES), clock)
        await applier.apply([_message(hears, seq, *each) for seq, each in enumerate(said, start=1)], connection)
        query = "select seq from events.checkpoint where consumer = $1 and feed = $2"
        seq: int = await connection.fetchval(query, consumer, hears.feed.name)
        rows = await connection.fetch("select type, reason, detail, stack from events.parked order by seq")
        return seq, [Parked(*row) for row in rows]
    finally:
        await connection.close()


def _message(hears: Hears, seq: int, name: str, raw: bytes) -> Msg:
    person = uuid7()
    envelope = Envelope(
        id=uuid7(),
        type=name,
        source=f"/{hears.feed.service}",
        subject=person,
        time=_MOMENT,
        seq=seq,
        aggregate=uuid7(),
        version=1,
        correlation_id="r-1",
        causation_id="r-1",
        actor=str(person),
    )
    reply = f"$JS.ACK.{hears.feed.name}.malformed.1.{seq}.{seq}.{int(_MOMENT.timestamp())}000000000.0"
    return Msg(Client(), subject_of(envelope), reply, raw, to_headers(envelope))
