"""Reconciliation: everything that was acknowledged, against every log, stream and table that should show it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy

from events.catalog.feeds import FEEDS
from faults.facts import Facts
from faults.load import Person
from faults.world import World

_LOG: Final = """
select seq, id, aggregate, version, type, subject, data ->> 'completed' as completed
from events.log where feed = $1 and seq <= $2 order by seq
"""
_TODOS: Final = "select id, version, title, completed, deleted from todo where user_id = any ($1)"
_ARCHIVE: Final = "select number, feed, seq, event_id from archive order by number"
_ENTRIES: Final = "select user_id, seq, action from entry where feed = 'TODOS' and user_id = any ($1)"
_INBOX: Final = "select user_id, number, id from notification where user_id = any ($1) order by user_id, number"
_LETTERS: Final = "select cause, kind, count(*) from letter group by cause, kind"
_LEFT: Final = "select (select count(*) from events.parked) + (select count(*) from events.discarded)"
_ACTIONS: Final = {
    "todos.TodoCreated.v1": "todo_created",
    "todos.TodoToggled.v1": "todo_toggled",
    "todos.TodoEdited.v1": "todo_edited",
    "todos.TodoDeleted.v1": "todo_deleted",
}

Log = Mapping[int, asyncpg.Record]


class Findings(msgspec.Struct):
    """What does not agree: counts, and sentences that say which."""

    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    troubles: list[str] = []

    def lack(self, what: str, count: int = 1) -> None:
        """Something acknowledged is missing."""
        if count:
            self.lost += count
            self.troubles.append(f"lost: {what}")

    def repeat(self, what: str, count: int = 1) -> None:
        """Something is there more than once, or without a cause."""
        if count:
            self.duplicated += count
            self.troubles.append(f"duplicated: {what}")

    def disorder(self, what: str) -> None:
        """Something is not in its order."""
        self.reordered += 1
        self.troubles.append(f"reordered: {what}")


class Reconciler:
    """Compares a world with what its people were told, as of `facts` that everybody has reached."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._equal: Counter[str] = Counter()
        """Up to which number each stream was found equal to its log, event by event."""

    async def look(self, upto: Facts, people: Sequence[Person], codes: Sequence[UUID], *, whole: bool) -> Findings:
        """All findings; `whole` compares streams from their beginning, else from where they were equal."""
        found = Findings()
        if whole:
            self._equal.clear()
        logs = {feed: await self._log(found, feed, last) for feed, last in upto.logs.items()}
        _compare_acks(found, logs["TODOS"], people)
        await self._states(found, people)
        await self._streams(found, logs)
        await self._archive(found, logs)
        await self._entries(found, logs["TODOS"], people)
        await self._inboxes(found, logs["TODOS"], people)
        await self._letters(found, logs, codes)
        for service in upto.heard:
            if left := await self._world.value(service, _LEFT):
                found.troubles.append(f"{service} parked or discarded {left} events")
        return found

    async def _log(self, found: Findings, feed: str, last: int) -> Log:
        """The rows of a log by number, which are without a hole."""
        rows = await self._world.rows(FEEDS[feed].service, _LOG, feed, last)
        seqs = [row["seq"] for row in rows]
        first = seqs[0] if FEEDS[feed].trimmed and seqs else 1
        found.lack(f"log {feed} has holes", len(set(range(first, last + 1)) - set(seqs)))
        return {row["seq"]: row for row in rows}

    async def _states(self, found: Findings, people: Sequence[Person]) -> None:
        rows = await self._world.rows("todos", _TODOS, [each.id for each in people])
        states = {row["id"]: (row["version"], row["title"], row["completed"], row["deleted"]) for row in rows}
        for each in people:
            for id_, known in each.todos.items():
                wanted = (known.version, known.title, known.completed, known.deleted)
                if states.get(id_) != wanted and not each.given_up:
                    found.lack(f"to-do {id_} is at {states.get(id_)}, its person knows {wanted}")

    async def _streams(self, found: Findings, logs: Mapping[str, Log]) -> None:
        async with self._world.jetstream() as js:
            for feed, log in logs.items():
                state = (await js.stream_info(feed)).state
                first = max(state.first_seq, self._equal[feed] + 1)
                if feed != "OTP" and log and state.first_seq > min(log):
                    found.lack(f"stream {feed} begins at {state.first_seq}")
                if not log or first > max(log):
                    continue
                messages = await _read(js, feed, first, max(log))
                _compare_stream(found, feed, log, messages, first)
                self._equal[feed] = max(log)

    async def _archive(self, found: Findings, logs: Mapping[str, Log]) -> None:
        rows = await self._world.rows("activity", _ARCHIVE)
        if [row["number"] for row in rows] != list(range(1, len(rows) + 1)):
            found.lack("the archive's numbers have holes")
        heard: dict[str, list[asyncpg.Record]] = defaultdict(list)
        for row in rows:
            heard[row["feed"]].append(row)
        for feed, log in logs.items():
            seqs = [row["seq"] for row in heard[feed]]
            found.repeat(f"archive of {feed}", len(seqs) - len(set(seqs)))
            found.lack(f"archive of {feed}", len(log.keys() - set(seqs)))
            if seqs != sorted(seqs):
                found.disorder(f"archive of {feed}")
            wrong = [
                row["seq"] for row in heard[feed] if row["seq"] in log and log[row["seq"]]["id"] != row["event_id"]
            ]
            found.lack(f"archive of {feed} has other events under {wrong[:5]}", len(wrong))

    async def _entries(self, found: Findings, log: Log, people: Sequence[Person]) -> None:
        rows = await self._world.rows("activity", _ENTRIES, [each.id for each in people])
        entries = Counter((row["user_id"], row["seq"], row["action"]) for row in rows)
        subjects = {each.id for each in people}
        wanted = Counter(
            (row["subject"], seq, _ACTIONS[row["type"]]) for seq, row in log.items() if row["subject"] in subjects
        )
        found.lack("entries of people", (wanted - entries).total())
        beyond = {entry for entry in entries if entry[1] in log}
        found.repeat("entries of people", sum(entries[each] - wanted[each] for each in beyond))

    async def _inboxes(self, found: Findings, log: Log, people: Sequence[Person]) -> None:
        rows = await self._world.rows("notifier", _INBOX, [each.id for each in people])
        seqs = {row["id"]: seq for seq, row in log.items() if row["completed"] == "true" and "Toggled" in row["type"]}
        subjects = {each.id for each in people}
        inboxes: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
        for row in rows:
            inboxes[row["user_id"]].append(row)
        told = Counter(row["id"] for row in rows)
        wanted = {id_ for id_, seq in seqs.items() if log[seq]["subject"] in subjects}
        found.lack("notifications", len(wanted - told.keys()))
        found.repeat("notifications", sum(count - 1 for count in told.values()))
        for inbox in inboxes.values():
            numbers, order = [row["number"] for row in inbox], [seqs[row["id"]] for row in inbox if row["id"] in seqs]
            if numbers != list(range(1, len(numbers) + 1)):
                found.lack("numbers of an inbox have holes")
            if order != sorted(order):
                found.disorder("an inbox")

    async def _letters(self, found: Findings, logs: Mapping[str, Log], codes: Sequence[UUID]) -> None:
        rows = await self._world.rows("mailer", _LETTERS)
        letters = {(row["cause"], row["kind"]): row["count"] for row in rows}
        wanted = {(row["id"], "code") for row in logs["OTP"].values()}
        wanted |= {(row["id"], "welcome") for row in logs["AUTH"].values() if "UserRegistered" in row["type"]}
        found.lack("letters", len(wanted - letters.keys()))
        found.repeat("letters", sum(count - 1 for count in letters.values()))
        asked = {row["aggregate"] for row in logs["OTP"].values()}
        found.lack("codes that were answered", len(set(codes) - asked))


def _compare_acks(found: Findings, log: Log, people: Sequence[Person]) -> None:
    """Every acknowledged write is there, where it was said to be, and nobody's to-do has a version nobody wrote."""
    made: dict[UUID, set[tuple[UUID, int]]] = defaultdict(set)
    for row in log.values():
        made[row["subject"]].add((row["aggregate"], row["version"]))
    for each in people:
        for ack in each.acks:
            event = log.get(ack.seq)
            if event is None or (event["aggregate"], event["version"]) != (ack.todo, ack.version):
                found.lack(f"write {ack.key}, acknowledged as TODOS:{ack.seq}")
        told = Counter((ack.todo, ack.version) for ack in each.acks)
        found.repeat("two writes were told the same version", sum(count - 1 for count in told.values()))
        surplus = Counter(todo for todo, _ in made[each.id] - told.keys()) - Counter(each.unsure)
        found.repeat("versions that nobody wrote", max(0, surplus.total() - each.given_up))


async def _read(js: JetStreamContext, stream: str, first: int, last: int) -> list[Msg]:
    """The messages of a stream from `first` to `last`, as far as they come within half a minute."""
    messages: list[Msg] = []
    done = asyncio.Event()

    async def keep(message: Msg) -> None:
        messages.append(message)
        if message.metadata.sequence.stream >= last:
            done.set()

    beginning = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=first)
    subscription = await js.subscribe(
        "ev.>", stream=stream, cb=keep, ordered_consumer=True, headers_only=True, config=beginning
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(30):
            await done.wait()
    await subscription.unsubscribe()
    return messages


def _compare_stream(found: Findings, feed: str, log: Log, messages: Sequence[Msg], first: int) -> None:
    """Message N is event N, id by id."""
    there = [(message.metadata.sequence.stream, (message.headers or {}).get("ce-id")) for message in messages]
    there = [(seq, id_) for seq, id_ in there if seq <= max(log)]
    if [seq for seq, _ in there] != sorted({seq for seq, _ in there}):
        found.disorder(f"stream {feed}")
    wanted = {seq: str(row["id"]) for seq, row in log.items() if seq >= first}
    known = {seq: id_ for seq, id_ in there if seq in wanted}
    wrong = sorted(seq for seq in wanted if known.get(seq) != wanted[seq])
    found.lack(f"stream {feed} differs from its log at {wrong[:5]}", len(wrong))
