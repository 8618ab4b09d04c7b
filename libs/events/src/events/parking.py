"""Ordered dead letters: what cannot be applied is set aside, its key's later events wait behind it, all others flow on.

Rows of the consumer's own database, written in the transaction that moves the checkpoint. See docs/adr/0019.
"""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from events.envelope import to_headers
from events.errors import Undecodable
from events.hearing import Event
from events.postgres import Connection
from events.sql import load
from events.work import backoff

SQL = load("events")
TRIES: Final = 5
_FRAMES: Final = 4

Reason = Literal["undecodable", "rejected", "failed", "next", "behind"]
"""It does not decode; the database says no for good; the handler failed.

`next`: its turn has come, and it was not tried yet; `behind`: it waits for the first of its key.
"""
FAILED: Final[tuple[Reason, ...]] = ("undecodable", "rejected", "failed")
"""What an attempt can end with; the others wait behind such a one."""


class Failure(msgspec.Struct, frozen=True):
    """Why an event is parked, without a word of what it says: `stack` names places in the code, innermost last.

    `retry`: seconds until it is tried again by itself; None where only an operator can help.
    """

    reason: Reason
    detail: str
    stack: str = ""
    attempts: int = 1
    retry: float | None = None


BEHIND: Final = Failure("behind", "", attempts=0)


def failure_of(error: Exception, *, attempts: int = 1) -> Failure:
    """What became of an attempt. What is wrong with the event itself no repetition changes; anything else may pass."""
    stack = _places(error)
    if isinstance(error, Undecodable):
        return Failure("undecodable", str(error), stack, attempts)
    if isinstance(error, msgspec.DecodeError | UnicodeDecodeError | RecursionError):  # nested too deeply
        return Failure("undecodable", type(error).__name__, stack, attempts)
    if isinstance(error, asyncpg.PostgresError):  # its message can quote the row
        rule = getattr(error, "constraint_name", None) or error.sqlstate
        return Failure("rejected", f"{type(error).__name__}: {rule}", stack, attempts)
    return Failure("failed", type(error).__name__, stack, attempts, backoff(attempts) if attempts < TRIES else None)


def _places(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return " > ".join(f"{'/'.join(Path(each.filename).parts[-2:])}:{each.lineno} {each.name}" for each in frames)


async def park(connection: Connection, consumer: str, events: Sequence[Event], failure: Failure) -> None:
    """Set events of one feed aside, all for the same reason."""
    rows = [
        (
            event.envelope.seq,
            event.envelope.subject,
            event.envelope.type,
            msgspec.json.encode(to_headers(event.envelope)).decode(),
            event.raw,
            event.published_at,
        )
        for event in events
    ]
    why = msgspec.structs.astuple(failure)
    await connection.execute(SQL.park, consumer, events[0].feed, *zip(*rows, strict=True), *why)


async def parked_keys(connection: Connection, consumer: str, feed: str, keys: Sequence[UUID]) -> frozenset[UUID]:
    """Those of `keys` that have something parked: what comes for them now must wait behind it."""
    rows = await connection.fetch(SQL.parked_keys, consumer, feed, keys)
    return frozenset(row["key"] for row in rows)
