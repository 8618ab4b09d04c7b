"""What each named query of `events/sql` does, on tables in memory: the log, checkpoints, leases.

A function is given the transaction and the query's parameters, and returns its rows. test_simulation.py compares all of
it with PostgreSQL.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from events.sql import load
from simulation.tables import Row, Transaction

SQL = load("events")
Query: TypeAlias = Callable[..., list[Row]]
QUERIES: dict[str, Query] = {}
"""By their text."""

_READ = [
    "seq",
    "id",
    "aggregate",
    "version",
    "type",
    "subject",
    "time",
    "correlation_id",
    "causation_id",
    "actor",
    "traceparent",
    "data",
]


def query(text: str) -> Callable[[Query], Query]:
    """Say that a function does what a query says."""

    def note(function: Query) -> Query:
        QUERIES[text] = function
        return function

    return note


def columns(names: str, *arrays: Sequence[Any]) -> list[Row]:
    """`unnest` of several arrays."""
    return [dict(zip(names.split(), values, strict=True)) for values in zip(*arrays, strict=True)]


@query(SQL.append)
def append(tx: Transaction, feed: str, *arrays: Sequence[Any]) -> list[Row]:
    counter = tx.lock("feed", (feed,))
    assert counter is not None
    tx.look_again()
    commands = columns("id size time correlation_id causation_id actor traceparent", *arrays[:7])
    keys = columns("user route key hash answer expires", *arrays[7:13])
    events = columns("command id aggregate version type subject data", *arrays[13:20])
    own = [[event for event in events if event["command"] == nr] for nr in range(1, len(commands) + 1)]
    answers = [_verdict(tx, feed, *each) for each in zip(commands, keys, own, strict=True)]
    last = counter["last_seq"]
    for command, key, said, answer in zip(commands, keys, own, answers, strict=True):
        if answer["outcome"] != "appended":
            continue
        for event in said:
            last += 1
            row = {name: value for name, value in (command | event).items() if name not in ("size", "command")}
            tx.insert("log", (feed, last), row | {"seq": last, "command_id": command["id"], "is_erased": False})
        answer["position"] = last
        if key["key"] is not None:
            tx.put("idempotency", (key["user"], key["route"], key["key"]), key | {"position": last})
    if last > counter["last_seq"]:
        tx.put("feed", (feed,), counter | {"last_seq": last})
    return [{name: answer[name] for name in ("outcome", "position", "answer")} for answer in answers]


def _verdict(tx: Transaction, feed: str, command: Row, key: Row, said: Sequence[Row]) -> Row:
    log = [row for (name, _), row in tx.rows("log").items() if name == feed]
    known = next((row["seq"] for row in log if row["id"] == row["command_id"] == command["id"]), None)
    kept = tx.get("idempotency", (key["user"], key["route"], key["key"])) if key["key"] is not None else None
    if kept is not None and kept["expires"].timestamp() <= tx.now():
        kept = None
    answer = kept["answer"] if kept is not None else None
    if known is not None:
        return {"outcome": "stored", "position": known + command["size"] - 1, "answer": answer}
    if kept is not None:
        outcome = "replayed" if kept["hash"] == key["hash"] else "key_reused"
        return {"outcome": outcome, "position": kept["position"], "answer": answer}
    expected: dict[UUID, int] = {}
    for event in said:
        expected.setdefault(event["aggregate"], event["version"] - 1)
    for aggregate, version in expected.items():
        if version != max((row["version"] for row in log if row["aggregate"] == aggregate), default=0):
            return {"outcome": "stale", "position": None, "answer": None}
    return {"outcome": "appended", "position": None, "answer": None}


@query(SQL.read_log)
def read_log(tx: Transaction, feed: str, after: int, limit: int) -> list[Row]:
    rows = [row for (name, seq), row in sorted(tx.rows("log").items()) if name == feed and seq > after]
    return [{name: row[name] for name in _READ} for row in rows[:limit]]


@query(SQL.event_ids)
def event_ids(tx: Transaction, feed: str, first: int, last: int) -> list[Row]:
    rows = tx.rows("log")
    found = [rows[feed, seq] for seq in range(first, last + 1) if (feed, seq) in rows]
    return [{"seq": row["seq"], "id": row["id"], "is_erased": False} for row in found]


@query(SQL.feed_bounds)
def feed_bounds(tx: Transaction, feed: str) -> list[Row]:
    row = tx.get("feed", (feed,))
    if row is None:
        return []
    oldest = min((seq for name, seq in tx.rows("log") if name == feed), default=row["last_seq"] + 1)
    return [{"oldest": oldest, "last_seq": row["last_seq"], "is_copy": False}]


@query(SQL.oldest_kept)
def oldest_kept(tx: Transaction, feed: str) -> list[Row]:
    seqs = [seq for name, seq in tx.rows("log") if name == feed]
    return [{"seq": min(seqs)}] if seqs else []


@query(SQL.checkpoint_open)
def checkpoint_open(tx: Transaction, consumer: str, feed: str) -> list[Row]:
    row = tx.lock("checkpoint", (consumer, feed)) or {"seq": 0, "event_id": None}
    tx.put("checkpoint", (consumer, feed), row)
    return [row]


@query(SQL.checkpoint_move)
def checkpoint_move(tx: Transaction, consumer: str, feed: str, *values: Any) -> list[Row]:
    seq, event_id, left, waited, _ = values
    assert not waited, "hearings are not simulated"
    row = tx.get("checkpoint", (consumer, feed))
    if row is None or row["seq"] != left:
        return []
    row = tx.lock("checkpoint", (consumer, feed))
    if row is None or row["seq"] != left:
        return []
    tx.put("checkpoint", (consumer, feed), {"seq": seq, "event_id": event_id})
    return [{"exists": any(place[:2] == (consumer, feed) for place in tx.rows("parked"))}]


@query(SQL.checkpoint_hold)
def checkpoint_hold(tx: Transaction, consumer: str, feed: str | None) -> list[Row]:
    places = sorted(place for place in tx.rows("checkpoint") if place[0] == consumer and feed in {None, place[1]})
    return [{"seq": row["seq"]} for place in places if (row := tx.lock("checkpoint", place))]


@query(SQL.lease_take)
def lease_take(tx: Transaction, name: str, holder: UUID, seconds: float) -> list[Row]:
    row = tx.lock("lease", (name,))
    if row is not None and row["holder"] != holder and row["expires_at"] >= tx.now():
        return []
    epoch = 1 if row is None else row["epoch"] + (row["holder"] != holder)
    tx.put("lease", (name,), {"holder": holder, "expires_at": tx.now() + seconds, "epoch": epoch})
    return [{"epoch": epoch}]


@query(SQL.lease_leave)
def lease_leave(tx: Transaction, name: str, holder: UUID) -> list[Row]:
    row = tx.lock("lease", (name,))
    if row is not None and row["holder"] == holder:
        tx.put("lease", (name,), row | {"expires_at": tx.now() - 1})
    return []


@query("select pg_notify($1, payload) from unnest($2::text[]) as payload")
def notify(tx: Transaction, channel: str, payloads: Sequence[str]) -> list[Row]:
    tx.said += [(channel, payload) for payload in payloads]
    return []


@query("select 1")
def one(_: Transaction) -> list[Row]:
    return [{"?column?": 1}]


@query("select 1 where $1 is not null or $2 is not null")
def nothing(_: Transaction, *__: Any) -> list[Row]:
    return [{"?column?": 1}]
