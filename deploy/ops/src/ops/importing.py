"""Copies a stream's surplus back into a log that only lost its tail: its database came back from an older copy."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg

from events import acts
from events.acts import By
from events.catalog.feeds import FEEDS
from events.envelope import Envelope, from_headers, subject_of
from events.errors import BadAct, Undecodable
from events.feed import Feed
from events.postgres import Connection
from events.sql import load
from ops.comparing import PULLED, Pulled, Report, compare, message_at
from ops.places import Places

SQL = load("ops")
EVENTS_SQL = load("events")
SHOWN: Final = 10
_UNDER_WAY: Final = "ends what {} has under way and these events tell the end of: it is not done again"
_SETTLE: Final = {
    "AUTH": ([SQL.settle_accounts], "brings accounts and sessions that {} has to where these events leave them"),
    "MAILER": (
        [SQL.settle_letters, SQL.settle_wishes, SQL.settle_addresses],
        f"{_UNDER_WAY}; who wanted no letters since, or whose address refused them, gets none",
    ),
    "NOTIFIER": ([SQL.settle_deliveries], _UNDER_WAY),
}
"""Rows of the copy that stand before what the log tells: nobody could go on from there, each outcome would be stale."""
_COLUMNS: Final = (
    "seq", "id", "aggregate", "version", "type", "subject", "time",
    "correlation_id", "causation_id", "actor", "traceparent",
)  # fmt: skip


class Surplus(msgspec.Struct, frozen=True):
    """What the log would get back, and what that does and does not."""

    feed: str
    first: int
    last: int
    events: int
    sample: list[dict[str, Any]]
    does: list[str]
    does_not: list[str]


class Imported(msgspec.Struct, frozen=True):
    """What the log got back."""

    feed: str
    first: int
    last: int


async def plan(places: Places, name: str, report: Report) -> Surplus:
    """What would be copied; raises `BadAct` where the log did not only lose its tail, `Unreachable`."""
    first, last = await _surplus(places, name, report)
    sample: list[dict[str, Any]] = []
    async with aclosing(_parts(places, FEEDS[name], first, last)) as parts:
        async for part in parts:  # all of it: what cannot be copied is told before anybody says yes
            sample += [
                {"seq": each.seq, "type": each.type, "key": each.subject, "time": each.time}
                for each, _ in part[: SHOWN - len(sample)]
            ]
            report(f"surplus of stream {name}", part[-1][0].seq - first + 1, last - first + 1)
    service, count = FEEDS[name].service, last - first + 1
    does = [
        f"copies {count:,} events, {first:,} to {last:,}, from stream {name} into its log, under their numbers",
        f"lets {service} append again only from {last + 1:,}, and its relay go on",
    ]
    if name in _SETTLE:
        does.append(_SETTLE[name][1].format(service))
    rows = f"write the rows of {service} that these events made: where its database lost these too, they stay so"
    does_not = [
        f"{rows} (`python -m {service} verify`, where there is one, names them; todos: `mend` writes them)",
        "bring back kept answers: an Idempotency-Key of that time is decided anew",
        "send or publish anything again: whoever heard these events is not concerned",
    ]
    return Surplus(name, first, last, count, sample, does, does_not)


async def import_tail(places: Places, name: str, by: By, report: Report) -> Imported:
    """Do it, as the owner of the log's database; raises `BadAct`, `Unreachable`."""
    feed = FEEDS[name]
    first, last = await _surplus(places, name, report)
    async with (
        places.database(feed.service, None) as connection,
        connection.transaction(),
        aclosing(_parts(places, feed, first, last)) as parts,
    ):
        await connection.execute(EVENTS_SQL.take_time)
        if await connection.fetchval(SQL.hold_feed, name) != first - 1:
            raise BadAct(f"{feed.service} appended meanwhile: look again with todo-ops relay check {name}")
        async for part in parts:
            await _write(connection, name, part)
            for settle in _SETTLE[name][0] if name in _SETTLE else ():
                await connection.execute(settle, part[0][0].seq, part[-1][0].seq)
            report(f"back into the log of {name}", part[-1][0].seq - first + 1, last - first + 1)
        await connection.execute(SQL.grow_feed, name, last)
        await connection.execute(SQL.delete_imported, name, first - 1)
        await acts.note(connection, feed.service, "import", {"feed": name, "from": first, "to": last}, by)
    return Imported(name, first, last)


async def _write(connection: Connection, name: str, part: Sequence[tuple[Envelope, str]]) -> None:
    """Write some of the events; raises `BadAct` where they do not follow what the log has of the same."""
    columns = [[getattr(envelope, column) for envelope, _ in part] for column in _COLUMNS]
    await connection.execute(SQL.import_tail, name, *columns, [data for _, data in part])
    aggregates = list({envelope.aggregate for envelope, _ in part})
    if broken := await connection.fetch(SQL.broken_aggregates, name, aggregates):
        raise BadAct(f"versions of {broken[0]['aggregate']} do not follow one another: this is no lost tail")


async def _surplus(places: Places, name: str, report: Report) -> tuple[int, int]:
    """From where to where the stream goes on beyond the log, where they are one up to there. Raises `BadAct`."""
    found = await compare(places, FEEDS[name], report)
    if found.parted is None:
        raise BadAct(f"stream {name} has nothing that its log lacks")
    if found.parted.how != "ahead" or found.stream_last is None:
        raise BadAct(f"the log did not only lose its tail: {found.parted.says}; {found.parted.next}")
    return found.log_last + 1, found.stream_last


async def _parts(places: Places, feed: Feed, first: int, last: int) -> AsyncGenerator[Sequence[tuple[Envelope, str]]]:
    """The surplus part by part, for it may be days of work. Raises `BadAct`, `Unreachable`."""
    async with places.nats(None) as client:
        js, pulled = client.jetstream(timeout=5), Pulled(client, feed.name, first, last, headers_only=False)
        try:
            for begin in range(first, last + 1, PULLED):
                end = min(begin + PULLED - 1, last)
                messages = await pulled.up_to(end)
                yield [  # what was not sent, perhaps for a slow line, is asked for
                    _event(feed, seq, messages.get(seq) or await message_at(js, feed.name, seq))
                    for seq in range(begin, end + 1)
                ]
        finally:
            await pulled.close()


def _event(feed: Feed, seq: int, message: Msg | RawStreamMsg | None) -> tuple[Envelope, str]:
    """A message of the surplus as the log had it; raises `BadAct` for what its relay never published."""
    if message is None:
        raise BadAct(f"stream {feed.name} lacks {seq:,}: what the log had there is lost; restore its database")
    try:
        envelope = from_headers(message.headers)
        data = (message.data or b"").decode()
        msgspec.json.decode(data)
    except (Undecodable, UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        raise BadAct(f"message {seq:,} of stream {feed.name} is no event: it is not from the relay") from None
    if (envelope.seq, envelope.service, subject_of(envelope)) != (seq, feed.service, message.subject):
        raise BadAct(f"message {seq:,} of stream {feed.name} says that it is another: it is not from the relay")
    return envelope, data
