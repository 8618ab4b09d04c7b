"""Random calls for the same script on a database, simulated or real: what each answers, whether it waits, what is left.

Two connections, in and out of transactions. Where one waits for a lock, the other can only end its transaction.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from feeding import CODEC, FEED, created, toggled

from events.command import Command, Context, Key, NewEvent
from events.log import arguments
from simulation.queries import SQL
from simulation.queries_work import EFFECT, LETTERS, work_query

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAR = datetime(2100, 1, 1, tzinfo=UTC)
WHO = "hearer"
HOLDERS = ("cafebabe", "0badf00d")
Told: TypeAlias = list[tuple[Any, ...]]
Settle: TypeAlias = Callable[[Sequence["asyncio.Task[Any]"]], Awaitable[None]]
"""Waits until every call has ended or waits for a lock."""

_LEFT_OUT = {"created_at", "settled_at"}
_UNSURE = {"oldest", "wait", "lease_until", "due_at", "expires_at"}


class Script:
    """Draws calls from a seed and makes them; `told` is what came of them, with ids by the order of appearance."""

    def __init__(self, seed: int, connections: Sequence[Any], settle: Settle) -> None:
        self._chance = Random(seed)
        self._connections = connections
        self._settle = settle
        self._names: dict[UUID, int] = {}
        self.told: Told = []
        self._commands: list[Command] = []
        self._versions = {self._id(): 0 for _ in range(3)}
        self._people = [self._id() for _ in range(2)]
        self._letters: list[UUID] = []
        self._claims: list[tuple[UUID, UUID]] = [(self._id(), self._id())]
        self._acts: list[UUID | None] = [None]
        self._holders = [self._id(), self._id()]
        self._place = 0

    def _id(self) -> UUID:
        return UUID(int=self._chance.getrandbits(128))

    async def run(self, calls: int) -> Told:
        """Make so many calls over both connections."""
        inside = [False, False]
        for _ in range(calls):
            at = int(self._chance.random() < 0.5)
            if not inside[at] and self._chance.random() < 0.25:
                await self._connections[at].execute("begin")
                inside[at] = True
            elif inside[at] and self._chance.random() < 0.35:
                await self._end(at)
                inside[at] = False
            else:
                await self._call(at, inside)
        for at in (0, 1):
            if inside[at]:
                await self._end(at)
        return self.told

    async def _end(self, at: int) -> None:
        how = self._chance.choice(["commit", "commit", "rollback"])
        await self._connections[at].execute(how)
        self.told.append((at, how))

    async def _call(self, at: int, inside: list[bool]) -> None:
        name, text, args = self._chance.choice(CALLS)(self)
        task = asyncio.ensure_future(self._connections[at].fetch(text, *args))
        await self._settle([task])
        waited = not task.done()
        if waited:
            await self._end(1 - at)
            inside[1 - at] = False
        with suppress(asyncpg.PostgresError):
            self._learn(name, await task)
        error = task.exception()
        answer = type(error).__name__ if error else self._plain(name, task.result())
        self.told.append((at, name, waited, answer))
        if error and inside[at]:
            await self._connections[at].execute("rollback")
            inside[at] = False

    def _learn(self, name: str, rows: Sequence[Any]) -> None:
        if name in {"claim", "doubtful", "overdue"}:
            self._claims += [(row["id"], row["token"]) for row in sorted(rows, key=lambda row: row["id"].int)]
        if name in {"redrive", "discard"}:
            self._acts += [row["id"] for row in rows]

    def _plain(self, name: str, rows: Sequence[Any]) -> list[Any]:
        left_out = _LEFT_OUT
        if name in _UNSORTED:
            rows = sorted(rows, key=lambda row: str(row.get("id") or row.get("key")))
        if name == "parked_due" and len(self._acts) > 1:
            left_out = _LEFT_OUT | {"seq"}  # an act makes several due in one statement, in the order of its plan
        return [{key: self._value(key, row[key]) for key in sorted(row.keys()) if key not in left_out} for row in rows]

    def _value(self, key: str, value: Any) -> Any:
        if key in _UNSURE:
            return value if value is None else (value > 0 if key == "wait" else "some")
        if key == "token":
            return value is not None
        if key == "act" or (key == "id" and value in self._acts):
            return value if value is None else self._names.setdefault(value, len(self._names))
        return value

    def left(self, table: str, rows: Sequence[Any]) -> Told:
        """What a table holds in the end."""
        told = [tuple(self._value(name, row[name]) for name in LEFT[table]) for row in rows]
        return [(table, *each) for each in sorted(told, key=repr)]

    # What is asked

    def append(self) -> tuple[str, str, tuple[Any, ...]]:
        commands = [self._command()]
        if self._chance.random() < 0.3:
            other = self._command()
            commands += [other] if not other.locks & commands[0].locks else []
        return "append", SQL.append, arguments(FEED.name, commands)

    def _command(self) -> Command:
        if self._commands and self._chance.random() < 0.2:
            return self._chance.choice(self._commands)
        todo = self._chance.choice(list(self._versions))
        version = max(0, self._versions[todo] + self._chance.choice([0, 0, 0, 0, -1, 1]))
        happened = [toggled(todo) if version else created(todo)] * self._chance.randint(1, 2)
        person = self._people[todo.int % 2]
        events = tuple(
            NewEvent(self._id(), todo, version + nr, CODEC.name_of(data), person, CODEC.encode(data))
            for nr, data in enumerate(happened, start=1)
        )
        self._versions[todo] = version + len(events)
        key = None
        if self._chance.random() < 0.4:
            word, body = str(self._chance.randint(1, 3)), self._chance.choice([b"h", b"h", b"i"])
            key = Key(user_id=person, route="POST", key=word, body_hash=body, answer=b"a", expires_at=FAR)
        context = Context(time=NOW, correlation_id="c", causation_id="", actor="a")
        command = Command(id=events[0].id, context=context, events=events, states=(), key=key)
        self._commands.append(command)
        return command

    def read(self) -> tuple[str, str, tuple[Any, ...]]:
        first = self._chance.randint(0, 5)
        return self._chance.choice(
            [
                ("read_log", SQL.read_log, (FEED.name, first, 3)),
                ("event_ids", SQL.event_ids, (FEED.name, first, first + 4)),
                ("feed_bounds", SQL.feed_bounds, (FEED.name,)),
                ("oldest_kept", SQL.oldest_kept, (FEED.name,)),
            ]
        )

    def checkpoint(self) -> tuple[str, str, tuple[Any, ...]]:
        left = self._place - self._chance.choice([0, 0, 0, 1])
        roll = self._chance.random()
        if roll < 0.3:
            return "checkpoint_open", SQL.checkpoint_open, (WHO, FEED.name)
        if roll < 0.5:
            return "checkpoint_hold", SQL.checkpoint_hold, (WHO, self._chance.choice([None, FEED.name]))
        self._place = left + self._chance.randint(1, 2)
        return "checkpoint_move", SQL.checkpoint_move, (WHO, FEED.name, self._place, self._id(), left, [], None)

    def lease(self) -> tuple[str, str, tuple[Any, ...]]:
        holder = self._chance.choice(self._holders)
        if self._chance.random() < 0.2:
            return "lease_leave", SQL.lease_leave, ("consumer", holder)
        return "lease_take", SQL.lease_take, ("consumer", holder, self._chance.choice([9000.0, -1.0]))

    def park(self) -> tuple[str, str, tuple[Any, ...]]:
        seq = self._chance.randint(1, 9)
        reason, seconds = self._chance.choice(
            [("behind", None), ("failed", -5000.0), ("failed", 5000.0), ("undecodable", None)]
        )
        columns = ([seq], [self._key_of(seq)], ["todos.TodoCreated.v1"], ["{}"], [b"{}"], [NOW])
        return "park", SQL.park, (WHO, FEED.name, *columns, reason, "d", "s", 1, seconds)

    def _key_of(self, seq: int) -> UUID:
        return self._people[seq % 2]

    def redriving(self) -> tuple[str, str, tuple[Any, ...]]:
        place = (WHO, FEED.name, self._chance.randint(1, 9))
        act, seconds = self._chance.choice(self._acts), self._chance.choice([None, 2000.0, -2000.0])
        why = ("failed", "d", "s", self._chance.randint(2, 3), seconds, act)
        return self._chance.choice(
            [
                ("parked_keys", SQL.parked_keys, (WHO, FEED.name, self._people)),
                ("parked_due", SQL.parked_due, (WHO, [FEED.name])),
                ("parked_now", SQL.parked_now, (WHO,)),
                ("redrive_take", SQL.redrive_take, place),
                ("redrive_applied", SQL.redrive_applied, place),
                ("redrive_failed", SQL.redrive_failed, (*place, *why)),
                ("redrive_end", SQL.redrive_end, (act, 5)),
                ("redrive_put_off", SQL.redrive_put_off, (*place, 8000.0)),
            ]
        )

    def acting(self) -> tuple[str, str, tuple[Any, ...]]:
        seq = self._chance.choice([None, None, self._chance.randint(1, 9)])
        terms = (WHO, FEED.name, seq, None, None, "mina", "why", "{}")
        if self._chance.random() < 0.3:
            return "discard", SQL.discard, terms
        return "redrive", SQL.redrive, (*terms, self._chance.choice([None, 1]), self._chance.choice([None, 0.0005]))

    def letter(self) -> tuple[str, str, tuple[Any, ...]]:
        known = self._letters and self._chance.random() < 0.2
        self._letters.append(self._chance.choice(self._letters) if known else self._id())
        ends = self._chance.choice([None, None, FAR, NOW - timedelta(days=1)])
        return "letters", LETTERS, ([self._letters[-1]], [ends])

    def work(self) -> tuple[str, str, tuple[Any, ...]]:
        lease, limit = self._chance.choice([9000.0, 9000.0, -3.0]), self._chance.randint(1, 2)
        id_, token = self._chance.choice(self._claims[-4:])
        holder, judged_by = self._chance.choice(["", *HOLDERS]), self._chance.choice([lease, 20_000.0])
        asked: dict[str, tuple[Any, ...]] = {
            "claim": (limit, lease, NOW, holder),
            "sending": ([id_], [token], lease),
            "settle": (id_, token, self._chance.choice(["sent", "failed"]), None),
            "retry": (id_, token, self._chance.choice([-9000.0, 9000.0]), "again"),
            "release": (),
            "doubtful": (100, judged_by, holder),
            "overdue": (100, lease, NOW, holder),
            "measure": (NOW, judged_by),
            "present": (HOLDERS[0],),
        }
        name = self._chance.choice(list(asked))
        return name, work_query(name), asked[name]

    def effect(self) -> tuple[str, str, tuple[Any, ...]]:
        return "effect", EFFECT, ([1], [self._people[0]], [self._people[1]])


CALLS: Sequence[Callable[[Script], tuple[str, str, tuple[Any, ...]]]] = (
    Script.append,
    Script.append,
    Script.read,
    Script.checkpoint,
    Script.lease,
    Script.park,
    Script.redriving,
    Script.redriving,
    Script.acting,
    Script.letter,
    Script.work,
    Script.work,
    Script.work,
    Script.effect,
)
_UNSORTED = {"event_ids", "claim", "doubtful", "overdue", "release", "parked_keys", "parked_now"}
LEFT = {
    "log": ("seq", "id", "command_id", "aggregate", "version", "type", "subject"),
    "checkpoint": ("consumer", "feed", "seq", "event_id"),
    "parked": ("feed", "seq", "key", "reason", "attempts", "due_at", "act"),
    "discarded": ("seq", "key"),
    "act": ("what", "applied", "failed", "discarded", "events_max"),
    "letter": ("id", "state", "attempts", "reason", "token"),
    "lease": ("name", "holder", "epoch"),
    "idempotency": ("key", "position"),
    "feed": ("name", "last_seq"),
}
"""What is compared in the end, by table."""
