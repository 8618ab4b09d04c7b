"""Ordered dead letters: what cannot be applied is set aside, its key's later events wait behind it, all others flow on.

Rows of the consumer's own database, written in the transaction that moves the checkpoint. See docs/adr/0019.
"""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec
from nats.aio.msg import Msg

from events.errors import Undecodable
from events.postgres import Connection
from events.sql import load
from events.work import backoff

SQL = load("events")
TRIES: Final = 5
_FRAMES: Final = 4

Reason = Literal["undecodable", "rejected", "failed", "behind"]
"""It does not decode; the database says no for good; the handler failed; it waits behind another one of its key."""


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
    if isinstance(error, asyncpg.PostgresError):  # its message can quote the row
        rule = getattr(error, "constraint_name", None) or error.sqlstate
        return Failure("rejected", f"{type(error).__name__}: {rule}", stack, attempts)
    return Failure("failed", type(error).__name__, stack, attempts, backoff(attempts) if attempts < TRIES else None)


def _places(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return " > ".join(f"{'/'.join(Path(each.filename).parts[-2:])}:{each.lineno} {each.name}" for each in frames)


def key_of(headers: Mapping[str, str] | None) -> UUID | None:
    """What keeps its order: the event's subject; None where not even that can be read."""
    return _id((headers or {}).get("ce-subject"))


def id_of(headers: Mapping[str, str] | None) -> UUID | None:
    """The event's id; None where it cannot be read."""
    return _id((headers or {}).get("ce-id"))


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text)
    except (TypeError, ValueError):
        return None


async def park(connection: Connection, consumer: str, feed: str, messages: Sequence[Msg], failure: Failure) -> None:
    """Set messages of a feed aside, all for the same reason."""
    rows = [_row(message, failure) for message in messages]
    await connection.execute(SQL.park, consumer, feed, *zip(*rows, strict=True))


def _row(message: Msg, failure: Failure) -> tuple[object, ...]:
    headers = message.headers or {}
    return (
        message.metadata.sequence.stream,
        key_of(headers),
        headers.get("ce-type", "").replace("\0", ""),
        msgspec.json.encode(headers).decode(),
        message.data,
        message.metadata.timestamp,
        failure.reason,
        failure.detail,
        failure.stack,
        failure.attempts,
        failure.retry,
    )


async def parked_keys(connection: Connection, consumer: str, feed: str, keys: Sequence[UUID]) -> frozenset[UUID]:
    """Those of `keys` that have something parked: what comes for them now must wait behind it."""
    rows = await connection.fetch(SQL.parked_keys, consumer, feed, keys)
    return frozenset(row["key"] for row in rows)
