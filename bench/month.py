"""A simulated month: what happened to many people, seeded, as a flat file of plain columns and as the events of it.

`python -m bench.month FILE` writes the file alone. The same seed makes the same file.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet

from bench.lives import DAY, HOUR, MINUTE, SECOND, START, Happening, life
from events.catalog import auth, mailer, notifier, todos
from events.catalog.core import Batch, EventsHeard
from events.catalog.feeds import FEEDS
from events.catalog.types import TYPES
from events.codec import Codec
from events.envelope import Envelope
from events.hearing import Event
from events.ids import uuid7

_AWAY: Final = {"AUTH": (2, 1, 1, 21), "TODOS": (3, 2, 8, 14), "MAILER": (5, 3, 1, 23)}
"""Feeds that come late on a day of every so many: from an hour until another nothing of theirs is heard."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CODEC: Final = Codec(TYPES)
_GROUP: Final = 100_000
_TOLD_AT_ONCE: Final = 100
_PUBLISHED: Final = timedelta(milliseconds=5)

_SCHEMA: Final = pa.schema(
    [
        ("nr", pa.int64()),
        ("feed", pa.string()),
        ("seq", pa.int64()),
        ("what", pa.string()),
        ("moment", pa.timestamp("us", tz="UTC")),
        *((name, pa.string()) for name in ("person", "todo", "challenge", "zone", "channel", "kind", "outcome")),
        ("waited_ms", pa.int64()),
        ("moments", pa.list_(pa.timestamp("us", tz="UTC"))),
        ("waits", pa.list_(pa.int64())),
    ]
)


def month(seed: int, count: int) -> list[Happening]:
    """So many happenings in the order in which they are heard: each feed in its own order, late where it was away.

    To them come those that tell of who heard them.
    """
    random, told, nr = Random(seed), list[Happening](), 0
    while len(told) < count:
        told += life(random, nr)[: count - len(told)]
        nr += 1
    _number(told)
    for feed in ("AUTH", "TODOS"):
        said = [each for each in told if each.feed == feed]
        told += (each for consumer in ("mailer", "notifier") for each in _hearings(random, consumer, said))
    _number(told)
    told.sort(key=_heard_at)
    for nr, each in enumerate(told, start=1):
        each.nr = nr
    return told


def _number(told: list[Happening]) -> None:
    """Put them in the order of time, and count each feed."""
    told.sort(key=lambda each: each.moment)
    last: Counter[str] = Counter()
    for each in told:
        last[each.feed] += 1
        each.seq = last[each.feed]


def _hearings(random: Random, consumer: str, said: Sequence[Happening]) -> Iterator[Happening]:
    """A consumer tells of what it heard of a feed; one event in a hundred waited long."""
    for at in range(0, len(said), _TOLD_AT_ONCE):
        part = said[at : at + _TOLD_AT_ONCE]
        waits = [int(random.expovariate(1 / 30) * (1000 if random.random() < 0.01 else 1)) + 1 for _ in part]
        yield Happening(
            feed=consumer.upper(),
            what="heard",
            moment=part[-1].moment + 5 * SECOND,
            channel=consumer,
            kind=part[0].feed,
            first=part[0].seq,
            moments=[each.moment for each in part],
            waits=waits,
        )


def _heard_at(each: Happening) -> int:
    every, offset, since, until = _AWAY.get(each.feed, (1, 1, 0, 0))
    day, rest = divmod(each.moment - START, DAY)
    away = day % every == offset and since * HOUR <= rest < until * HOUR
    return START + day * DAY + until * HOUR if away else each.moment


def write(told: Sequence[Happening], file: Path) -> None:
    """Write happenings as Parquet, ids as text."""
    with pyarrow.parquet.ParquetWriter(file, _SCHEMA) as writer:
        for at in range(0, len(told), _GROUP):
            part = told[at : at + _GROUP]
            columns = [pa.array(_column(part, field), field.type) for field in _SCHEMA]
            writer.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA))


def _column(told: Sequence[Happening], field: pa.Field) -> list[object]:
    values = [getattr(each, field.name) for each in told]
    return [value and str(value) for value in values] if field.type == pa.string() else values


def events_of(told: Iterable[Happening]) -> Iterator[Event]:
    """The same as the services say it, each with a new id; versions count on from one call's first happening."""
    versions: Counter[UUID] = Counter()
    for each in told:
        data, id_ = _SAYS[each.what](each), uuid7()
        aggregate = each.todo or each.person or each.challenge or id_
        versions[aggregate] += 1
        subject = each.person or each.challenge or id_
        envelope = Envelope(
            id=id_,
            type=_CODEC.name_of(data),
            source=f"/{FEEDS[each.feed].service}",
            subject=subject,
            time=_moment(each.moment),
            seq=each.seq,
            aggregate=aggregate,
            version=versions[aggregate],
            correlation_id=f"month-{each.nr}",
            causation_id=f"month-{each.nr}",
            actor=str(subject),
        )
        published_at = envelope.time + _PUBLISHED
        yield Event(each.feed, envelope, None, _CODEC.encode(data).encode(), published_at)


def _moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


_TITLES: Final = ("우유 사기", "Write the report", "세탁소에 들르기", "Call the dentist", "여권 갱신하기")


def _title(each: Happening) -> str:
    return _TITLES[each.seq % len(_TITLES)]


def _id(value: UUID | None) -> UUID:
    assert value is not None
    return value


def _requested(each: Happening) -> msgspec.Struct:
    expires_at = _moment(each.moment + 5 * MINUTE)
    return auth.OtpRequested(challenge_id=_id(each.challenge), sealed="k1.box", locale=None, expires_at=expires_at)


def _created(each: Happening) -> msgspec.Struct:
    return todos.TodoCreated(
        todo_id=_id(each.todo),
        title=_title(each),
        description=None,
        priority=3,
        completed=False,
        due_at=None,
        remind_minutes_before=None,
    )


def _as_it_is(kind: type[todos.TodoDeleted | todos.TodoRestored]) -> Callable[[Happening], msgspec.Struct]:
    return lambda each: kind(todo_id=_id(each.todo), title=_title(each), priority=3, completed=False)


def _toggled(*, completed: bool) -> Callable[[Happening], msgspec.Struct]:
    return lambda each: todos.TodoToggled(todo_id=_id(each.todo), title=_title(each), priority=3, completed=completed)


def _alarm(kind: type[todos.TodoDueSoon | todos.TodoOverdue]) -> Callable[[Happening], msgspec.Struct]:
    return lambda each: kind(
        todo_id=_id(each.todo), title=_title(each), priority=3, due_at=_moment(each.moment), due_zone=None
    )


def _mailed(each: Happening) -> msgspec.Struct:
    said = {"letter_id": uuid7(), "kind": each.kind, "cause": uuid7()}
    if each.outcome == "sent":
        return msgspec.convert(said | {"waited_ms": each.waited_ms}, mailer.MailSent)
    return msgspec.convert(said | {"reason": each.outcome}, mailer.MailFailed)


def _pushed(each: Happening) -> msgspec.Struct:
    said = {"delivery_id": uuid7(), "channel": each.channel, "cause": uuid7(), "kind": each.kind}
    if each.outcome == "sent":
        return msgspec.convert(said | {"waited_ms": each.waited_ms}, notifier.NotificationDelivered)
    return msgspec.convert(said | {"reason": each.outcome}, notifier.NotificationFailed)


def _heard(each: Happening) -> msgspec.Struct:
    heard = enumerate(zip(each.moments, each.waits, strict=True), start=each.first)
    batches = (
        Batch(first=nr, at=_moment(moment) + timedelta(milliseconds=waited), waited_ms=(waited,))
        for nr, (moment, waited) in heard
    )
    return EventsHeard(consumer=str(each.channel), feed=str(each.kind), batches=tuple(batches))


_SAYS: Final[dict[str, Callable[[Happening], msgspec.Struct]]] = {
    "requested": _requested,
    "verified": lambda each: auth.OtpVerified(challenge_id=_id(each.challenge), user_id=_id(each.person)),
    "rejected": lambda each: auth.OtpRejected(challenge_id=_id(each.challenge), reason="wrong"),
    "registered": lambda each: auth.UserRegistered(
        user_id=_id(each.person), sealed_contact="k1.box", locale=None, timezone=each.zone
    ),
    "moved": lambda each: auth.ProfileChanged(user_id=_id(each.person), timezone=each.zone),
    "renamed": lambda each: auth.ProfileChanged(user_id=_id(each.person), name="누구"),
    "signed_in": lambda each: auth.UserSignedIn(user_id=_id(each.person), session_id=uuid7()),
    "signed_out": lambda each: auth.UserSignedOut(user_id=_id(each.person), session_id=uuid7(), reason="logout"),
    "erased": lambda each: auth.UserErased(user_id=_id(each.person)),
    "created": _created,
    "completed": _toggled(completed=True),
    "reopened": _toggled(completed=False),
    "edited": lambda each: todos.TodoEdited(todo_id=_id(each.todo), title=_title(each)),
    "deleted": _as_it_is(todos.TodoDeleted),
    "restored": _as_it_is(todos.TodoRestored),
    "due_soon": _alarm(todos.TodoDueSoon),
    "overdue": _alarm(todos.TodoOverdue),
    "mailed": _mailed,
    "pushed": _pushed,
    "heard": _heard,
}


def main() -> None:
    """Write a month, and say how much of what is in it."""
    parser = argparse.ArgumentParser(prog="bench.month", description="Write a simulated month as Parquet")
    parser.add_argument("file", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many (1000000)")
    parser.add_argument("--seed", type=int, default=1, help="which month (1)")
    options = parser.parse_args()
    told = month(options.seed, options.events)
    write(told, options.file)
    for (feed, what), count in sorted(Counter((each.feed, each.what) for each in told).items()):
        print(f"{count:>9,} {feed} {what}")


if __name__ == "__main__":
    main()
