"""What the queries of parking, redriving and discarding do, on tables in memory."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from simulation.queries import SQL, columns, query
from simulation.tables import Key, Row, Transaction


@query(SQL.park)
def park(tx: Transaction, consumer: str, feed: str, *values: Any) -> list[Row]:
    reason, detail, stack, attempts, seconds = values[6:]
    for given in columns("seq key type headers data published_at", *values[:6]):
        place = (consumer, feed, given["seq"])
        if tx.is_new("parked", place):
            why = {"reason": reason, "detail": detail, "stack": stack, "attempts": attempts, "act": None}
            tx.put("parked", place, given | why | {"due_at": _in(tx, seconds)})
    return []


def _in(tx: Transaction, seconds: float | None) -> float | None:
    return None if seconds is None else tx.now() + seconds


@query(SQL.parked_keys)
def parked_keys(tx: Transaction, consumer: str, feed: str, keys: Sequence[UUID]) -> list[Row]:
    found = {row["key"] for (_, _, _), row in _parked(tx, consumer, feed) if row["key"] in keys}
    return [{"key": key} for key in sorted(found)]


def _parked(tx: Transaction, consumer: str, feed: str | None = None) -> Iterator[tuple[Key, Row]]:
    for place, row in sorted(tx.rows("parked").items()):
        if place[0] == consumer and feed in {None, place[1]}:
            yield place, row


@query(SQL.parked_due)
def parked_due(tx: Transaction, consumer: str, feeds: Sequence[str]) -> list[Row]:
    first: dict[UUID | None, tuple[float, Key]] = {}
    for place, row in _parked(tx, consumer):
        if place[1] not in feeds or row["due_at"] is None:
            continue
        due = (row["due_at"], place)
        first[row["act"]] = min(first.get(row["act"], due), due)
    waits = []
    for act, (due_at, place) in first.items():
        asked = tx.get("act", (act,)) if act is not None else None
        waits.append((due_at if asked is None else max(due_at, asked["next_at"]), place))
    if not waits:
        return []
    at, place = min(waits)
    return [{"feed": place[1], "seq": place[2], "wait": at - tx.now()}]


@query(SQL.parked_now)
def parked_now(tx: Transaction, consumer: str) -> list[Row]:
    found: dict[str, Row] = {}
    for place, row in _parked(tx, consumer):
        counts = found.setdefault(place[1], {"feed": place[1], "events": 0, "stuck": 0})
        counts["events"] += 1
        counts["stuck"] += row["reason"] != "behind" and row["due_at"] is None
    return list(found.values())


@query(SQL.redrive_take)
def redrive_take(tx: Transaction, consumer: str, feed: str, seq: int) -> list[Row]:
    place = (consumer, feed, seq)
    seen = tx.get("parked", place)
    if not _is_due(tx, seen):
        return []
    row = tx.lock("parked", place)
    names = ("headers", "data", "published_at", "attempts", "act")
    return [{name: row[name] for name in names}] if row is not None and _is_due(tx, row) else []


def _is_due(tx: Transaction, row: Row | None) -> bool:
    return row is not None and row["due_at"] is not None and row["due_at"] <= tx.now()


@query(SQL.redrive_applied)
def redrive_applied(tx: Transaction, consumer: str, feed: str, seq: int) -> list[Row]:
    place = (consumer, feed, seq)
    row = tx.lock("parked", place) if tx.get("parked", place) else None
    if row is None:
        return []
    follower = _next(tx, place, row)
    tx.put("parked", place, None)
    _make_due(tx, follower, row["act"])
    _pace(tx, row["act"], "applied")
    return []


def _next(tx: Transaction, place: Key, row: Row) -> Key | None:
    """The next one of its key, as the statement sees it."""
    after = [other for other, it in _parked(tx, place[0], place[1]) if it["key"] == row["key"] and other > place]
    return after[0] if after else None


def _make_due(tx: Transaction, place: Key | None, act: UUID | None) -> None:
    if place is not None and (row := tx.lock("parked", place)) is not None:
        tx.put("parked", place, row | {"due_at": tx.now(), "reason": "next", "act": act})


def _pace(tx: Transaction, act: UUID | None, counted: str) -> None:
    row = tx.lock("act", (act,)) if act is not None else None
    if row is not None:
        pause = 1 / row["per_second"] if row["per_second"] else 0
        tx.put("act", (act,), row | {counted: row[counted] + 1, "next_at": tx.now() + pause})


@query(SQL.redrive_failed)
def redrive_failed(tx: Transaction, consumer: str, feed: str, seq: int, *why: Any) -> list[Row]:
    reason, detail, stack, attempts, seconds, act = why
    place = (consumer, feed, seq)

    def is_ours(row: Row | None) -> bool:
        return row is not None and row["attempts"] == attempts - 1 and row["act"] == act

    if not is_ours(tx.get("parked", place)):
        return []
    row = tx.lock("parked", place)
    if row is None or not is_ours(row):
        return []
    told = {"reason": reason, "detail": detail, "stack": stack, "attempts": attempts, "act": None}
    tx.put("parked", place, row | told | {"due_at": _in(tx, seconds)})
    _pace(tx, act, "failed")
    return []


@query(SQL.redrive_end)
def redrive_end(tx: Transaction, act: UUID | None, tries: int) -> list[Row]:
    asked = tx.get("act", (act,)) if act is not None else None
    if asked is None or asked["events_max"] is None or asked["applied"] + asked["failed"] < asked["events_max"]:
        return []
    for place, seen in sorted(tx.rows("parked").items()):
        row = tx.lock("parked", place) if seen["act"] == act else None
        if row is not None and row["act"] == act:
            again = row["reason"] == "failed" and row["attempts"] < tries
            tx.put("parked", place, row | {"due_at": tx.now() if again else None, "act": None})
    return []


@query(SQL.redrive_put_off)
def redrive_put_off(tx: Transaction, consumer: str, feed: str, seq: int, seconds: float) -> list[Row]:
    place = (consumer, feed, seq)
    row = tx.lock("parked", place) if tx.get("parked", place) else None
    if row is not None and row["due_at"] is not None:
        tx.put("parked", place, row | {"due_at": tx.now() + seconds})
    return []


def _first(tx: Transaction, consumer: str, terms: Sequence[Any]) -> list[tuple[Key, Row]]:
    """`events.parked_first`: those that are each the first of their key."""
    feed, seq, key, reason = terms
    return [
        (place, row)
        for place, row in _parked(tx, consumer, feed)
        if seq in {None, place[2]} and key in {None, row["key"]} and reason in {None, row["reason"]}
        if row["reason"] != "behind"
    ]


@query(SQL.redrive)
def redrive(tx: Transaction, consumer: str, *values: Any) -> list[Row]:
    events_max, per_second = values[7:]
    act = _new_act(tx, consumer, "redrive", events_max=events_max, per_second=per_second)
    count = 0
    for place, _ in _first(tx, consumer, values[:4]):
        row = tx.lock("parked", place)
        if row is not None:
            tx.put("parked", place, row | {"due_at": tx.now(), "act": act["id"]})
            count += 1
    return [{"id": act["id"], "events": count}]


@query(SQL.discard)
def discard(tx: Transaction, consumer: str, *values: Any) -> list[Row]:
    given_up = []
    for place, _ in _first(tx, consumer, values[:4]):
        row = tx.lock("parked", place)
        if row is not None:
            given_up.append((place, row, _next(tx, place, row)))
    act = _new_act(tx, consumer, "discard", discarded=len(given_up))
    for place, row, follower in given_up:
        tx.put("parked", place, None)
        tx.insert("discarded", place, {"key": row["key"], "type": row["type"], "act": act["id"]})
        _make_due(tx, follower, act["id"])
    return [{"id": act["id"], "events": len(given_up)}]


def _new_act(tx: Transaction, consumer: str, what: str, **known: Any) -> Row:
    act: Row = {"id": tx.store.new_id(), "consumer": consumer, "what": what, "next_at": float("-inf")}
    act |= {"events_max": None, "per_second": None, "applied": 0, "failed": 0, "discarded": 0} | known
    tx.put("act", (act["id"],), act)
    return act
