"""What must hold at each commit, at each message stored, at each answer; and what must be true in the end."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID

from feeding import FEED

from simulation.clients import Clients, Wish
from simulation.parts import CONSUMER
from simulation.stream import Broker, Stored
from simulation.tables import Store, Transaction

SETTLED = {"sent", "failed", "unknown", "expired"}


class Violation(Exception):
    """A promise is broken."""


class Invariants:
    """Looks at everything as it happens; the first broken promise is kept in `broken`."""

    def __init__(self, store: Store, broker: Broker, window: int, stop: Callable[[], None]) -> None:
        self.broken = ""
        self._store = store
        self._broker = broker
        self._window = window
        self._stop = stop
        store.before_commit.append(self.before_commit)
        store.after_commit.append(self.after_commit)
        broker.on_store = self.stored

    def hold(self, holds: Any, promise: str) -> None:
        """Note the first promise that does not hold."""
        if not holds and not self.broken:
            self.broken = promise
            self._stop()

    # The log

    def _log(self) -> None:
        seqs = [seq for _, seq in self._store.tables["log"]]
        last = self._store.tables["feed"][(FEED.name,)]["last_seq"]
        self.hold(len(seqs) == max(seqs, default=0) == last, f"the log has {len(seqs)} events, its counter is {last}")

    def answered(self, wish: Wish, clients: Clients) -> None:
        """What was acknowledged is in the log, once, where the answer says."""
        if wish.answer is None:
            return
        found = self._found(wish)
        self.hold(found, f"wish {wish.number} was answered and is not in the log")
        self.hold(max(found, default=0) == wish.answer.position, f"wish {wish.number} was told another position")

    def _found(self, wish: Wish) -> list[int]:
        ids = {event.id for command in wish.tried for event in command.events}
        return [seq for (_, seq), row in self._store.tables["log"].items() if row["id"] in ids]

    def wishes(self, clients: Clients) -> None:
        """Nothing is done twice, in part, or although it was refused."""
        log = self._store.tables["log"].values()
        stored: dict[UUID, int] = defaultdict(int)
        words: dict[str, int] = defaultdict(int)
        for row in log:
            stored[row["command_id"]] += 1
            words[row["id"]] += 1
        self.hold(max(words.values(), default=0) <= 1, "an event is in the log twice")
        known = 0
        for wish in clients.wishes:
            commands = {command.id: command for command in wish.tried}
            there = [command for id_, command in commands.items() if id_ in stored]
            known += sum(stored[command.id] for command in there)
            self.hold(len(there) <= 1, f"wish {wish.number} was done twice")
            self.hold(not any(c.id in wish.refused for c in there), f"wish {wish.number} was refused and is in the log")
            self.hold(all(stored[c.id] == len(c.events) for c in there), f"wish {wish.number} is in the log in part")
        self.hold(known == len(log), "the log holds what nobody wished")

    # The stream

    def strays(self) -> list[int]:
        """Messages of the stream that are no events."""
        stream = self._broker.streams.get(FEED.name)
        messages = stream.messages if stream is not None else {}
        return [seq for seq, message in messages.items() if "ce-id" not in message.headers]

    def stored(self, name: str, seq: int, message: Stored) -> None:
        """Message N of the stream is event N of the log."""
        row = self._store.tables["log"].get((name, seq))
        own = message.headers.get("ce-id")
        if own is None:
            return
        first = min(self.strays(), default=None)
        if first is not None and seq > first + self._window:
            self.hold(False, f"message {seq} was published on top of a stray message {first}")
        self.hold(row is not None and str(row["id"]) == own, f"message {seq} is not event {seq}")

    # Consumers

    def before_commit(self, tx: Transaction) -> None:
        """Whoever writes an outcome holds the claim."""
        for key, row in tx.writes.get("letter", {}).items():
            old = self._store.tables["letter"].get(key)
            if row is None or old is None or row["token"] is not None:
                continue
            if row["state"] in SETTLED or (row["state"] == "queued" and row["due_at"] != old["due_at"]):
                self.hold(tx.actor[1] == old["token"], f"{row['state']} was written by another than the claim's holder")

    def after_commit(self, tx: Transaction) -> None:
        """The log is gapless; the effects are what the checkpoint says, in order."""
        if "log" in tx.writes or "feed" in tx.writes:
            self._log()
        if {"effect", "checkpoint", "parked", "discarded"} & tx.writes.keys():
            self._effects()

    def _effects(self) -> None:
        tables = self._store.tables
        done = [
            (number, row["seq"], row["key"], row["event_id"]) for (number,), row in sorted(tables["effect"].items())
        ]
        waiting = {seq for _, _, seq in tables["parked"]}
        gone = {seq for _, _, seq in tables["discarded"]}
        heard = [seq for _, seq, _, _ in done]
        self.hold(len(heard) == len(set(heard)), f"an effect happened twice: {_twice(heard)}")
        row = tables["checkpoint"].get((CONSUMER, FEED.name))
        place = row["seq"] if row is not None else 0
        accounted = set(heard) | waiting | gone
        self.hold(
            accounted == set(range(1, place + 1)), f"the checkpoint is {place}, accounted for is {sorted(accounted)}"
        )
        self.hold(not waiting & set(heard), "what is parked has had its effect")
        last: dict[UUID, int] = {}
        for _, seq, key, event_id in done:
            self.hold(seq > last.get(key, 0), f"event {seq} had its effect after {last.get(key)} of the same key")
            last[key] = seq
            self.hold(tables["log"][FEED.name, seq]["id"] == event_id, f"the effect of {seq} is another event's")
        for (_, _, seq), parked in tables["parked"].items():
            self.hold(seq > last.get(parked["key"], 0), f"event {seq} is parked, later ones of its key were applied")

    # Letters

    def taken(self, letter: UUID, tokens: list[UUID]) -> None:
        """No letter is handed over twice."""
        self.hold(len(tokens) <= 1, f"letter {str(letter)[:8]} was sent {len(tokens)} times")

    def letters(self, taken: dict[UUID, list[UUID]]) -> str:
        """What is not settled yet; an outcome must be true."""
        for (id_,), row in self._store.tables["letter"].items():
            sent = len(taken.get(id_, []))
            self.hold(row["state"] != "sent" or sent == 1, "a letter is called sent and nobody took it")
            self.hold(row["state"] != "expired" or sent == 0, "a letter is called expired and was sent")
        return ", ".join(
            f"letter {row['state']}" for row in self._store.tables["letter"].values() if row["state"] not in SETTLED
        )

    # The end

    def missing(self, clients: Clients, parts: set[str]) -> str:
        """What has not come to rest yet; empty when everything has."""
        tables = self._store.tables
        last = tables["feed"][(FEED.name,)]["last_seq"]
        if not clients.are_answered:
            return "a wish has no answer"
        stream = self._broker.streams.get(FEED.name)
        if "relay" in parts and (stream is None or stream.last != last or self.strays()):
            return f"the stream is at {stream and stream.last}, the log at {last}"
        row = tables["checkpoint"].get((CONSUMER, FEED.name))
        if "hearer" in parts and (row is None or row["seq"] != last):
            return f"the checkpoint is at {row and row['seq']}, the log at {last}"
        if tables["parked"]:
            return f"parked: {[seq for _, _, seq in tables['parked']]}"
        return ""

    def final(self, clients: Clients) -> None:
        """In the end the stream is the log, and every wish is done once."""
        self.wishes(clients)
        for wish in clients.wishes:
            self.answered(wish, clients)
        stream = self._broker.streams.get(FEED.name)
        if stream is not None:
            ids = {seq: message.headers.get("ce-id") for seq, message in stream.messages.items()}
            log = {seq: str(row["id"]) for (_, seq), row in self._store.tables["log"].items() if seq <= stream.last}
            self.hold(ids == log, "the stream is not the log")


def _twice(numbers: list[int]) -> list[int]:
    return sorted({number for number in numbers if numbers.count(number) > 1})
