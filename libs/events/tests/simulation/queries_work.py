"""What the queries of a work table do, on the table `letter` in memory, and what the simulation's own code asks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from events.sql import filled
from events.work import EVERY_ROW
from simulation.queries import SQL, columns, query
from simulation.tables import Row, Transaction

TABLE = "letter"
EFFECT = "insert into effect (seq, key, event_id) select * from unnest($1::bigint[], $2::uuid[], $3::uuid[])"
LETTERS = """
insert into letter (id, expires_at) select * from unnest($1::uuid[], $2::timestamptz[]) on conflict do nothing
"""


def work_query(name: str) -> str:
    text = filled(getattr(SQL, f"work_{name}"), table=TABLE, turn="due_at")
    return filled(text, lane=EVERY_ROW) if name == "claim" else text


def _take(tx: Transaction, limit: int, wanted: Any, change: Any) -> list[Row]:
    """`for update skip locked`: up to so many of the rows that are wanted, changed."""
    taken: list[Row] = []
    for place, seen in sorted(tx.rows(TABLE).items(), key=lambda item: (item[1]["due_at"], item[0])):
        if len(taken) == limit:
            break
        if not wanted(seen) or tx.is_locked(TABLE, place):
            continue
        row = tx.lock(TABLE, place)
        if row is not None and wanted(row):
            row = row | change(row)
            tx.put(TABLE, place, row)
            taken.append(row)
    return taken


def _lives(row: Row, now: datetime) -> bool:
    return row["expires_at"] is None or row["expires_at"] > now


@query(work_query("present"))
def be_present(tx: Transaction, holder: str) -> list[Row]:
    tx.session.holder = holder
    return [{}]


def _is_gone(tx: Transaction, token: UUID) -> bool:
    """Nobody's session says that the holder, whom a token of version 8 names, is here."""
    return token.version == 8 and token.hex[:8] not in {each.holder for each in tx.session.server.sessions}


@query(work_query("claim"))
def claim(tx: Transaction, limit: int, lease: float, now: datetime, holder: str) -> list[Row]:
    def wanted(row: Row) -> bool:
        return row["state"] == "queued" and row["due_at"] <= tx.now() and _lives(row, now)

    def change(row: Row) -> Row:
        return _claimed(tx, lease, holder) | {"state": "claimed", "attempts": row["attempts"] + 1}

    return _take(tx, limit, wanted, change)


def _claimed(tx: Transaction, lease: float, holder: str) -> Row:
    drawn = UUID(int=tx.store.new_id().int, version=4).hex
    token = UUID(f"{holder}{drawn[8:12]}8{drawn[13:]}") if holder else UUID(drawn)
    return {"token": token, "lease_until": tx.now() + lease}


def _is_doubtful(tx: Transaction, row: Row, lease: float) -> bool:
    if row["state"] != "sending" or row["lease_until"] >= tx.now() + lease / 2:
        return False
    return row["lease_until"] < tx.now() or _is_gone(tx, row["token"])


def _is_dead(tx: Transaction, row: Row) -> bool:
    return row["state"] == "claimed" and (row["lease_until"] < tx.now() or _is_gone(tx, row["token"]))


@query(work_query("doubtful"))
def doubtful(tx: Transaction, limit: int, lease: float, holder: str) -> list[Row]:
    return _take(tx, limit, lambda row: _is_doubtful(tx, row, lease), lambda _: _claimed(tx, lease, holder))


@query(work_query("overdue"))
def overdue(tx: Transaction, limit: int, lease: float, now: datetime, holder: str) -> list[Row]:
    def wanted(row: Row) -> bool:
        return row["state"] == "queued" and not _lives(row, now)

    return _take(tx, limit, wanted, lambda _: _claimed(tx, lease, holder) | {"state": "claimed"})


@query(work_query("release"))
def release(tx: Transaction) -> list[Row]:
    freed = []
    for place, seen in sorted(tx.rows(TABLE).items()):
        row = tx.lock(TABLE, place) if _is_dead(tx, seen) else None
        if row is not None and _is_dead(tx, row):
            tx.put(TABLE, place, row | {"state": "queued", "token": None, "lease_until": None})
            freed.append({"id": row["id"]})
    return freed


def _change(
    tx: Transaction, id_: UUID, token: UUID, states: Sequence[str], new: Row, *, alive: bool = False
) -> list[Row]:
    """An update of the holder's; no row: the claim is no longer theirs."""

    def is_ours(row: Row | None) -> bool:
        if row is None or row["token"] != token or row["state"] not in states:
            return False
        return not alive or row["lease_until"] > tx.now()

    if not is_ours(tx.get(TABLE, (id_,))):
        return []
    row = tx.lock(TABLE, (id_,))
    if row is None or not is_ours(row):
        return []
    tx.put(TABLE, (id_,), row | new)
    return [{"id": id_}]


@query(work_query("sending"))
def sending(tx: Transaction, ids: Sequence[UUID], tokens: Sequence[UUID], lease: float) -> list[Row]:
    new = {"state": "sending", "lease_until": tx.now() + lease}
    marked = zip(ids, tokens, strict=True)
    return [
        row | {"token": token} for id_, token in marked for row in _change(tx, id_, token, ["claimed"], new, alive=True)
    ]


SETTLE = work_query("settle")


@query(SETTLE)
def settle(tx: Transaction, id_: UUID, token: UUID, state: str, reason: str | None) -> list[Row]:
    new = {"state": state, "reason": reason, "token": None, "lease_until": None}
    return _change(tx, id_, token, ["claimed", "sending"], new)


@query(work_query("retry"))
def retry(tx: Transaction, id_: UUID, token: UUID, seconds: float, reason: str | None) -> list[Row]:
    new = {"state": "queued", "due_at": tx.now() + seconds, "reason": reason, "token": None, "lease_until": None}
    return _change(tx, id_, token, ["claimed", "sending"], new)


@query(work_query("measure"))
def measure(tx: Transaction, now: datetime, lease: float) -> list[Row]:
    rows = list(tx.rows(TABLE).values())
    counts: Row = {state: sum(row["state"] == state for row in rows) for state in ("queued", "claimed", "sending")}
    dead = any(_is_dead(tx, row) for row in rows)
    doubtful = any(_is_doubtful(tx, row, lease) for row in rows)
    overdue = any(row["state"] == "queued" and not _lives(row, now) for row in rows)
    due = any(row["state"] == "queued" and row["due_at"] <= tx.now() for row in rows)
    return [counts | {"due": due, "dead": dead, "doubtful": doubtful, "overdue": overdue, "oldest": 0.0}]


@query(EFFECT)
def effect(tx: Transaction, *arrays: Sequence[Any]) -> list[Row]:
    for row in columns("seq key event_id", *arrays):
        tx.insert("effect", (tx.store.number(),), row)
    return []


@query(LETTERS)
def letters(tx: Transaction, ids: Sequence[UUID], ends: Sequence[datetime | None]) -> list[Row]:
    for id_, expires_at in zip(ids, ends, strict=True):
        if tx.is_new(TABLE, (id_,)):
            tx.put(TABLE, (id_,), _letter(id_, expires_at, tx.now()))
    return []


def _letter(id_: UUID, expires_at: datetime | None, now: float) -> Row:
    nothing = {"expires_at": expires_at, "token": None, "lease_until": None, "reason": None}
    return {"id": id_, "state": "queued", "due_at": now, "attempts": 0} | nothing
