"""Planted bugs: the product's code as somebody might have written it. The simulation must find each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import asyncpg
import msgspec

from events import applying, log, parking, redriver
from events.applying import Applier
from events.command import Command
from events.envelope import subject_of, to_headers
from events.errors import Unavailable
from events.hearing import Event
from events.listener import Listener
from events.log import Log
from events.postgres import AWAY, Connection, is_rejection, transaction
from events.publisher import Publisher, envelope_of
from events.pull import Pull
from events.relay import Relay
from events.work import Row, WorkTable
from simulation.queries import QUERIES
from simulation.queries_work import SETTLE, TABLE
from simulation.tables import Row as RowOf
from simulation.tables import Transaction


class Patch(NamedTuple):
    """What is put in the place of what: an attribute, or a value of a dictionary."""

    place: Any
    name: str
    wrong: Any

    def swap(self, value: Any) -> Any:
        """Put a value there; what was there before."""
        if isinstance(self.place, dict):
            before = self.place[self.name]
            self.place[self.name] = value
        else:
            before = getattr(self.place, self.name)
            setattr(self.place, self.name, value)
        return before


class Bug(NamedTuple):
    """What is wrong, in a sentence."""

    told: str
    patches: tuple[Patch, ...]


BUGS: dict[str, Bug] = {}


def bug(told: str, place: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Plant a function in the place of another."""

    def note(wrong: Callable[..., Any]) -> Callable[..., Any]:
        BUGS[wrong.__name__.replace("_", "-")] = Bug(told, (Patch(place, name, wrong),))
        return wrong

    return note


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The product with this bug."""
    patches = BUGS[name].patches
    before = [patch.swap(patch.wrong) for patch in patches]
    try:
        yield
    finally:
        for patch, value in zip(patches, before, strict=True):
            patch.swap(value)


@bug("the relay publishes without the expected number", Publisher, "_send")
async def cursor_instead_of_numbers(self: Publisher, row: asyncpg.Record) -> None:
    envelope = envelope_of(self._feed, row)
    reply = f"{self._inbox}.{envelope.seq}"
    await self._client.publish(subject_of(envelope), row["data"].encode(), reply=reply, headers=to_headers(envelope))


_look = Relay._look


@bug("the relay compares no ids after a refusal, only numbers", Relay, "_look")
async def identity_unproven(self: Relay, js: Any, connection: Connection, proven: int | None) -> int:
    if proven is None:
        return await _look(self, js, connection, proven)
    last: int = (await js.stream_info(self.feed.name)).state.last_seq
    return last


@bug("the checkpoint is committed before its effects", Applier, "_commit")
async def ack_before_commit(self: Applier, events: Sequence[Event], connection: Connection) -> None:
    last = events[-1].envelope
    async with transaction(connection):
        may_wait = await self._move(connection, last.seq, last.id, events)
    self.seq = last.seq
    async with transaction(connection):
        behind = await self._park_behind(connection, events) if may_wait else frozenset()
        await self.handle([event for event in events if event.envelope.seq not in behind], connection)


@bug("the checkpoint is moved in a transaction of its own, after the effects", Applier, "_commit")
async def checkpoint_outside(self: Applier, events: Sequence[Event], connection: Connection) -> None:
    last = events[-1].envelope
    async with transaction(connection):
        behind = await self._park_behind(connection, events)
        await self.handle([event for event in events if event.envelope.seq not in behind], connection)
    async with transaction(connection):
        await self._move(connection, last.seq, last.id, events)
    self.seq = last.seq


_move = Applier._move


@bug("the lease is trusted in place of the fence", Applier, "_move")
async def lease_instead_of_fence(
    self: Applier, connection: Connection, seq: int, event_id: UUID | None, heard: Sequence[Event] = ()
) -> bool:
    rows = await connection.fetch(applying.SQL.checkpoint_hold, self.consumer, self.feed)
    self.seq = rows[0]["seq"]
    return await _move(self, connection, seq, event_id, heard)


@bug("a gap is taken for lawful", Listener, "_examine_gap")
async def gap_unseen(self: Listener, expected: int, found: int) -> None:
    return


@bug("what was sent and never came is not asked for", Pull, "has_lost")
async def delivered_is_heard(self: Pull, *, after: int) -> bool:
    return False


@bug("a retry goes out under new ids", Log, "_call")
async def retry_under_new_ids(self: Log, commands: Sequence[Command]) -> list[asyncpg.Record]:
    fresh = [_renamed(command, self.__dict__.setdefault("_tries", iter(range(10**9)))) for command in commands]
    connection = await self._connected()
    rows: list[asyncpg.Record] = await connection.fetch(log.SQL.append, *log.arguments(self.feed, fresh))
    return rows


def _renamed(command: Command, tries: Iterator[int]) -> Command:
    salt = str(next(tries))
    events = tuple(msgspec.structs.replace(event, id=uuid5(event.id, salt)) for event in command.events)
    return msgspec.structs.replace(command, id=events[0].id, events=events)


@bug("an answer that did not come is told as a failure", Log, "_settle")
async def lost_answer_is_failure(self: Log, group: Sequence[Any]) -> None:
    try:
        answers = await self._call([entry.command for entry in group])
    except AWAY as error:
        if is_rejection(error):
            await self._settle_apart(group, error)
            return
        await self._pause(error)
        for entry in group:
            if not entry.answer.done():
                entry.answer.set_exception(Unavailable("try again"))
        return
    self._answers()
    for entry, answer in zip(group, answers, strict=True):
        log._deliver(entry, self.feed, answer)
    self._on_appended()


@bug("a lost fence is not noticed", Applier, "_move")
async def fence_unread(
    self: Applier, connection: Connection, seq: int, event_id: UUID | None, heard: Sequence[Event] = ()
) -> bool:
    place = (self.consumer, self.feed, seq, event_id, self.seq)
    return bool(await connection.fetchval(applying.SQL.checkpoint_move, *place, [], None))


def outcome_without_claim(tx: Transaction, id_: UUID, _: UUID, state: str, reason: str | None) -> list[RowOf]:
    row = tx.lock(TABLE, (id_,))
    if row is None or row["state"] not in {"claimed", "sending"}:
        return []
    tx.put(TABLE, (id_,), row | {"state": state, "reason": reason, "token": None, "lease_until": None})
    return [{"id": id_}]


async def _act_for_ever(self: WorkTable, act: Any, row: Row) -> None:
    with suppress(Exception):
        await act(row)


BUGS["outcome-without-claim"] = Bug(
    "an outcome is written by whoever comes, however late",
    (Patch(QUERIES, SETTLE, outcome_without_claim), Patch(WorkTable, "_act", _act_for_ever)),
)


@bug("no mark is committed before the point of no return", WorkTable, "sending")
async def mark_missing(self: WorkTable, row: Row) -> bool:
    return True


@bug("a mark that the database refused is not heeded", WorkTable, "sending")
async def mark_unheeded(self: WorkTable, row: Row) -> bool:
    await self._pool.fetchval(self._sql["sending"], [row["id"]], [row["token"]], self._lease)
    return True


@bug("later events of a parked key pass it", applying, "parked_keys")
async def parked_is_passed(connection: Connection, consumer: str, feed: str, keys: Sequence[UUID]) -> frozenset[UUID]:
    return frozenset()


_park = parking.park


@bug("an event is parked, and the checkpoint stays", applying, "park")
async def parked_in_between(connection: Connection, consumer: str, events: Sequence[Event], failure: Any) -> None:
    if failure.reason == "behind":
        await _park(connection, consumer, events, failure)


class _Unheld:
    """The queries, with a redrive that holds no checkpoint."""

    checkpoint_hold = "select 1 where $1 is not null or $2 is not null"

    def __getattr__(self, name: str) -> Any:
        return getattr(applying.SQL, name)


BUGS["redrive-unheld"] = Bug("a redrive does not hold the checkpoint", (Patch(redriver, "SQL", _Unheld()),))


@bug("a consumer begins anew where the stream is shorter than its checkpoint", Listener, "_open")
async def shorter_stream_heard_anew(self: Listener, js: Any, connection: Connection) -> int:
    [row] = await connection.fetch(applying.SQL.checkpoint_open, self.consumer, self.feed.name)
    self.applier.seq = row["seq"]
    info = await js.stream_info(self.feed.name)
    return max(self.applier.seq + 1, 1) if info.state.last_seq >= self.applier.seq else 1
